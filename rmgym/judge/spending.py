"""What answers cost: tokens, money, and the point at which nothing more is asked."""

from __future__ import annotations

from dataclasses import dataclass

from rmgym.errors import JudgeError
from rmgym.judge.clients import Reply


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What tokens cost, and how much may be spent.

    Attributes:
        price_read: of a million tokens of prompts, in any currency.
        price_written: of a million tokens of answers.
        max_tokens: of prompts and answers together after which nothing more is asked; None for any number.
        max_cost: likewise, of money.

    Raises:
        JudgeError: one is negative, or there is a limit of money without prices.
    """

    price_read: float = 0.0
    price_written: float = 0.0
    max_tokens: int | None = None
    max_cost: float | None = None

    def __post_init__(self) -> None:
        if not min(self.price_read, self.price_written, self.max_tokens or 0, self.max_cost or 0) >= 0:
            raise JudgeError("prices and limits are at least 0", got=self, fix="leave them out for none")
        if self.max_cost is not None and not self.price_read + self.price_written:
            fix = "pass price_read= and price_written=, per million tokens"
            raise JudgeError("a limit of money needs prices", got=f"max_cost={self.max_cost}", fix=fix)


class Spending:
    """Counts what the answers of a job cost, also those that an earlier process of it has paid for.

    Args:
        prices: and limits.
    """

    def __init__(self, prices: Prices) -> None:
        self.prices = prices
        self.read = self.written = self.answers = self.new = 0

    @property
    def tokens(self) -> int:
        """Of prompts and answers."""
        return self.read + self.written

    @property
    def cost(self) -> float:
        """In the currency of the prices."""
        return (self.read * self.prices.price_read + self.written * self.prices.price_written) / 1e6

    def add(self, reply: Reply, *, new: bool) -> None:
        """Count an answer, asked now or kept from before."""
        self.read, self.written = self.read + reply.read, self.written + reply.written
        self.answers, self.new = self.answers + 1, self.new + new

    def check(self) -> None:
        """Refuse to go on once a limit is reached.

        Raises:
            JudgeError: it is; every answer so far is kept.
        """
        prices = self.prices
        over_tokens = prices.max_tokens is not None and self.tokens >= prices.max_tokens
        over_cost = prices.max_cost is not None and self.cost >= prices.max_cost
        if over_tokens or over_cost:
            limit = f"max_tokens={prices.max_tokens}" if over_tokens else f"max_cost={prices.max_cost:g}"
            raise JudgeError(
                f"a judge asks no more once it has spent {limit}",
                got=str(self),
                fix="raise the limit and run it again: every answer so far is kept, and not asked for again",
            )

    def __str__(self) -> str:
        cost = f", cost {self.cost:.4g}" if self.prices.price_read + self.prices.price_written else ""
        return f"{self.answers} answers, {self.new} of them new, {self.read} + {self.written} tokens{cost}"
