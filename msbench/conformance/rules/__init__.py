"""The rules, one function each: its name is the rule's, the first paragraph of its docstring what it asks for."""
