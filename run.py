"""The entry point of `ordertide`: hands over to commands/."""

from commands.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
