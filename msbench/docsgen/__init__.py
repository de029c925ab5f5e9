"""The generated parts of the documentation: a page of docs/ names one as `<!-- generated: NAME -->`.

What can be read from the code (commands, keys, hooks, records, parameters) is written nowhere else.
"""

from msbench.docsgen.pages import GENERATORS, expand

__all__ = ["GENERATORS", "expand"]
