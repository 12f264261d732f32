"""The cores that every engine has, one ACore a file."""
