"""What a model's arrays cost beside their arithmetic: memory that is handed back and fetched again."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache

KEPT = 128 * 2**20
"""Most bytes of freed memory that the process keeps for its next arrays."""
_LARGEST = 32 * 2**20  # the largest that glibc takes from its heap instead of from the system
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of mallopt(3)


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory for the process's next arrays, once.

    A micro-batch makes and frees arrays of megabytes. By default, glibc gives such memory back to the system at once
    and every page of the next array is fetched and zeroed anew, which can take longer than the arithmetic. Where the
    user has set ``MALLOC_TRIM_THRESHOLD_`` or ``MALLOC_MMAP_THRESHOLD_``, that stands.

    Returns:
        Whether the C library agreed; only glibc has such a switch, and others do without.
    """
    if "MALLOC_TRIM_THRESHOLD_" in os.environ or "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; on Windows, no library without a name
        return False
    return bool(mallopt(_TRIM_THRESHOLD, KEPT) and mallopt(_MMAP_THRESHOLD, _LARGEST))
