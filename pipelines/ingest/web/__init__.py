"""Web archives: cut into records, their pages decoded and extracted."""
