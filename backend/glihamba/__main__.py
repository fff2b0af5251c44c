"""`python -m glihamba` is the command `glihamba`."""

from glihamba.cli import main

if __name__ == "__main__":
    main()
