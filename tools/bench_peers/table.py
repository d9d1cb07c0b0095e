# SPDX-License-Identifier: MIT
"""The report as text. Everything comes from the dictionary that --json writes."""

MIB = 1 << 20

NAMES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "ctranslate2": "CTranslate2",
         "whisper_cpp": "whisper.cpp", "onednn": "oneDNN", "openblas": "OpenBLAS"}

# Sections with times in them.
TIMED = ("engines", "products", "second_thread", "batch")

# What an engine may use of a processor while it waits, as a share; more is said.
MAX_IDLE = 0.02


def columns(rows, header):
    """Rows of strings under a header, the first column to the left, the others to the right."""
    rows = [header, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                       for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
             for row in rows]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def number(value, form):
    return "–" if value is None else format(value, form)


def time_text(row, name, form):
    """A time; with a tilde when the machine was never quiet while it was taken."""
    return ("~" if row.get("runs") and not row["quiet_runs"] else "") + number(row.get(name), form)


def ratio_text(comparison):
    """Median with its interval and the verdict."""
    if comparison["median"] is None:
        return f"too few (none of {comparison['pairs']} quiet)"
    text = f"{comparison['median']:.3f}"
    if comparison["low"] is not None:
        text += f" [{comparison['low']:.3f}, {comparison['high']:.3f}]"
    text += " " + comparison["verdict"]
    if comparison["verdict"] == "too few":
        text += f" ({comparison['ratios']} of {comparison['pairs']} quiet)"
    return text


def versions_text(report):
    return ", ".join(f"{NAMES.get(name, name)} {version}"
                     for name, version in report["versions"].items())


def machine_lines(report):
    machine = report["machine"]
    yield (f"machine: {machine['cpu']} (family/model/stepping "
           f"{machine['family_model_stepping']}), {machine['cores']} cores"
           f"{', virtual' if machine['hypervisor'] else ''}, {machine['system']}")
    yield "instruction sets: " + " ".join(machine["isa"])
    yield "versions: " + versions_text(report)
    if source := report.get("input"):
        yield (f"input: log-mel of {source['recording']} ({source['seconds']:.1f} s, padded to "
               "30 s)")
    if not any(report.get(section) for section in TIMED):
        return
    method = report["method"]
    yield (f"ratios: npuenc's time : the peer's, adjacent runs, order alternating; counted when the "
           f"arithmetic probe before and after is within {100 * method['tolerance']:.0f} % of its "
           f"best; median with its {100 * method['confidence']:.0f} % interval from order "
           f"statistics; ahead: the whole interval is below 1, of at least {method['ratios']} "
           "ratios; ~: a time from a machine that was busy with other work")


def engine_row(row, comparison):
    if "error" in row:
        return [f"{row['title']}: {row['kind']}", *["–"] * 8]
    return [row["title"], time_text(row, "min_ms", ".1f"),
            time_text(row, "median_ms", ".1f"), comparison,
            f"{row['cosine']:.6f}", f"{row['worst_frame']:.4f}", f"{row['max_abs']:.2g}",
            f"{row['load_ms']:.0f}", number(row["peak_bytes"] and row["peak_bytes"] / MIB, ".0f")]


ENCODING_HEADER = ["engine", "min ms", "median ms", "npuenc : it", "cosine", "worst frame",
                   "max abs", "load ms", "peak MiB"]


def groups(report):
    """(model, threads, precision), the rows of engines in it, their comparisons by title."""
    rows = {}
    for row in report.get("engines", []):
        rows.setdefault((row["model"], row["threads"], row["precision"]), []).append(row)
    compared = {(entry["model"], entry["threads"], entry["precision"], entry["peer"]): entry
                for entry in report.get("comparisons", [])}
    for group, members in rows.items():
        yield group, members, {row["title"]: compared.get((*group, row["title"]))
                               for row in members}


def encoding_lines(report):
    if report.get("engines"):
        yield ("accuracy: against a float64 encoder on the same input; load: from file to ready; "
               "peak: of the whole process, Python's 30 MiB or so included; CTranslate2 and "
               "whisper.cpp (with flash attention, its default) load the decoder too")
    last = None
    for (model, threads, precision), rows, compared in groups(report):
        if (model, threads) != last:
            yield ""
            yield f"== {model}, {threads} thread{'s' if threads > 1 else ''}"
            last = model, threads
        table = []
        for row in rows:
            comparison = compared[row["title"]]
            text = ""
            if comparison is not None:
                text = (ratio_text(comparison) if "median" in comparison else
                        comparison["verdict"])
            table.append(engine_row(row, text))
        yield ""
        yield from columns(table, [precision, *ENCODING_HEADER[1:]])
        for row in rows:
            if "error" in row:
                yield f"  {row['title']}: {row['error']}"
            elif row.get("variant", "as installed") != "as installed":
                yield f"  {row['title']}: fastest with {row['variant']}"
            comparison = compared[row["title"]]
            if comparison and comparison.get("idle_share", 0) > MAX_IDLE:
                yield (f"  {row['title']}: the engine whose turn it was not used "
                       f"{100 * comparison['idle_share']:.0f} % of a processor")


def product_lines(report):
    if not report.get("products"):
        return
    yield ""
    yield "== products"
    yield ""
    rows = []
    for entry in report["products"]:
        ours, theirs = entry.get("ours", {}), entry.get("theirs", {})
        rows.append([f"{entry['case']}, {entry['threads']} thr", entry["peer"],
                     time_text(ours, "median_ms", ".3f"), time_text(theirs, "median_ms", ".3f"),
                     number(ours.get("gops"), ".0f"), number(theirs.get("gops"), ".0f"),
                     ratio_text(entry) if "median" in entry else entry["verdict"]])
    yield from columns(rows, ["product", "peer", "npuenc ms", "its ms", "npuenc GOPS", "its GOPS",
                              "npuenc : it"])
    for entry in report["products"]:
        if "error" in entry:
            yield f"  {entry['case']}, {entry['peer']}: {entry['error']}"
        if entry.get("idle_share", 0) > MAX_IDLE:
            yield (f"  {entry['case']}, {entry['peer']}: the library whose turn it was not used "
                   f"{100 * entry['idle_share']:.0f} % of a processor")
    notes = dict.fromkeys((entry["case"].rsplit(" ", 1)[0], entry["note"])
                          for entry in report["products"] if entry.get("note"))
    for case, note in notes:
        yield f"  {case}: {note}"


def second_thread_lines(report):
    if not report.get("second_thread"):
        return
    yield ""
    yield "== the second thread: how much faster two threads are than one, at the same moments"
    yield ""
    rows = []
    for entry in report["second_thread"]:
        if "error" in entry:
            rows.append([f"{entry['model']} {entry['precision']}", entry["error"], "", ""])
            continue
        rows.append([f"{entry['model']} {entry['precision']}", number(entry["speedup"], ".3f"),
                     number(entry["probe_speedup"], ".3f"), ratio_text(entry)])
    yield from columns(rows, ["npuenc", "encode", "arithmetic probe", "encode : probe"])


def batch_lines(report):
    if not report.get("batch"):
        return
    yield ""
    yield "== batches: what a window takes in a call of several, and one by one"
    yield ""
    rows = []
    for entry in report["batch"]:
        name = f"{entry['model']} {entry['precision']}, {entry['threads']} thr"
        if "error" in entry:
            rows.append([name, str(entry["batch"]), "", "", "", entry["error"]])
            continue
        rows.append([name, str(entry["batch"]),
                     time_text(entry["together"], "median_ms", ".1f"),
                     time_text(entry["alone"], "median_ms", ".1f"),
                     f"{entry['hours_per_hour']:.0f}", ratio_text(entry)])
    yield from columns(rows, ["npuenc", "windows", "ms each", "one by one", "hours / hour",
                              "in a call : one by one"])


def accuracy_row(row):
    if "error" in row:
        return [f"{row['title']}: {row['kind']}", *["–"] * 5]
    rate = 100 * row["errors"] / row["words"] if row["words"] else None
    return [row["title"], f"{row['cosine']:.6f}", f"{row['worst_frame']:.4f}",
            f"{row['max_abs']:.2g}", number(rate, ".1f"),
            f"{row['same']} of {len(row['recordings'])}"]


def accuracy_lines(report):
    models = {}
    for row in report.get("accuracy", []):
        models.setdefault(row["model"], []).append(row)
    if models:
        yield "accuracy: of the worst recording, against a float64 encoder; words by CTranslate2's"
        yield "decoder: WER of all recordings, and transcripts that are as with its own encoder"
    for model, rows in models.items():
        yield ""
        yield f"== accuracy, {model}"
        yield ""
        yield from columns(list(map(accuracy_row, rows)), [
            "engine", "cosine", "worst frame", "max abs", "WER %", "same words"])
        for row in rows:
            if "error" in row:
                yield f"  {row['title']}: {row['error']}"


def render(report):
    lines = [*machine_lines(report)]
    for missing in report.get("missing", []):
        lines.append(f"MISSING: {missing['peer']}: {missing['reason']}")
    for part in (encoding_lines, product_lines, second_thread_lines, batch_lines,
                 accuracy_lines):
        lines += part(report)
    return "\n".join(lines) + "\n"
