"""All programs."""

from . import company, gathering, trouble

CASES = {
    case.name: case
    for module in (gathering, trouble, company)
    for name, case in vars(module).items()
    if name.isupper()
}
