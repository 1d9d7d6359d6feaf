"""page - what the phases found, as one page of text."""
import bars

WIDTH = 78


def ratio(value, ceiling):
    return f"{100 * value / ceiling:.0f} %" if value and ceiling else "-"


def table(rows, heads):
    """Right-aligned columns but for the first."""
    cells = [[str(c) for c in row] for row in [heads] + rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = []
    for row in cells:
        first = row[0].ljust(widths[0])
        rest = "  ".join(c.rjust(w) for c, w in zip(row[1:], widths[1:]))
        lines.append(f"  {first}  {rest}".rstrip())
    lines.insert(1, "  " + "-" * (sum(widths) + 2 * (len(widths) - 1)))
    return lines


def section(title, lines):
    return ["", title, "=" * len(title)] + lines


def render(found, names):
    """found: phase name -> {"title", "seconds", "lines", "failed"} or missing."""
    out = []
    for name in names:
        part = found.get(name)
        if part is None:
            continue
        mark = "FAILED" if part["failed"] else "ok"
        out += section(f"{part['title']} ({part['seconds']:.0f} s, {mark})", part["lines"])
    out += section("What is wanted of an H200-class GPU", table(bars.judge(found), ["", "measured", "wanted", ""]))
    missing = [n for n in names if n not in found]
    out += ["", "not run yet: " + ", ".join(missing)] if missing else []
    return "\n".join(out).lstrip("\n") + "\n"
