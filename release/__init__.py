"""What is made of this repository for people: README's links, blocks and picture, the bundle, the registry's entry."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
