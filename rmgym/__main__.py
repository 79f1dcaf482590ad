"""``python -m rmgym`` is the command ``rmgym``."""

from rmgym.cli.main import app

if __name__ == "__main__":
    app(prog_name="rmgym")
