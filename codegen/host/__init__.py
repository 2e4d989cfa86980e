"""The other end of a board's serial line: shows it images and reads what it says of them."""
