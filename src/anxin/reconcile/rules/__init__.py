"""The rules, one a file. `book.rule_book()` collects them."""
