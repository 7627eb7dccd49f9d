"""Models that ship with the package, each with a notice or a card that says where it comes from."""
