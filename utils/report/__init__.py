"""Several methods on one dataset as one page: `python -m utils.report runs/A runs/B --data-root X`.

Data flows methods → `measure` (`MethodResult`) → `tables`, `charts`, `frames` → `page` (HTML text).
"""
