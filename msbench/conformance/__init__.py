"""The conformance suite: what every plugin class must do, as rules that anyone can run on their own.

`cases(MyClass)` gives one case a rule, for `pytest.mark.parametrize` in a plugin's own tests; `findings(…)` runs them
and reports. `msbench plugins check` prints the same.
"""

from __future__ import annotations

from msbench.conformance.case import Case, Finding, Inapplicable, Rule, RuleError, findings
from msbench.conformance.suite import RULES, cases, cases_of

__all__ = ["RULES", "Case", "Finding", "Inapplicable", "Rule", "RuleError", "cases", "cases_of", "findings"]
