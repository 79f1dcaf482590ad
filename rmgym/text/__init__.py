"""What does this step say? Transitions become templates, numbers and phrases; strings only where someone reads them."""

from rmgym.text.batch import TextBatch as TextBatch
from rmgym.text.textualizer import Textualizer as Textualizer
from rmgym.text.textualizer import textualizer as textualizer

__all__ = ["TextBatch", "Textualizer", "textualizer"]
