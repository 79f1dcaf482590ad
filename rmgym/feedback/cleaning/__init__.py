"""Cleaning: which answers labels are made of, what they say on one scale, and how much each counts."""

from rmgym.feedback.cleaning.audit import Audit as Audit
from rmgym.feedback.cleaning.audit import Finding as Finding
from rmgym.feedback.cleaning.cleaned import Cleaned as Cleaned
from rmgym.feedback.cleaning.cleaned import as_given as as_given
from rmgym.feedback.cleaning.cleaned import clean as clean
