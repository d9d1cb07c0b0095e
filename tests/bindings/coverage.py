# SPDX-License-Identifier: MIT
"""What the header has is reached by the safe layer of every language, or left out for a reason.

What there is is tests/abi/values.txt, which `abi values` compares with the header. The safe layers
are read as text, without comments: they reach a function, and a constant, by naming it as the raw
layer does, and a field by naming it in what follows a mention of its struct (in Python, of the class
that has the struct's name and fields). What is left out is in bindings/LANGUAGE/left-out.txt, `NAME:
reason` a line, a field being struct.field; it must be there to be left out, and must not be
reached."""

import ast
import re
import sys

import environment

BINDINGS = environment.ROOT / "bindings"
# Every struct has these, and they are the safe layer's own business.
PLUMBING = ("struct_size", "reserved")


def without_c_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)


def without_python_comments(text):
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) \
                and isinstance(body[0].value, ast.Constant):
            body[0] = ast.Pass()
    return ast.unparse(tree)


def capital(name):
    return name[0].upper() + name[1:]


def class_name(struct):
    """npuenc_ctx_info: ContextInfo."""
    words = struct.removeprefix("npuenc_").replace("ctx", "context").split("_")
    return "".join(map(capital, words))


class Language:
    """Where a safe layer is and how it writes the names of the raw layer: {1} begins with a capital,
    {2} is that of a class, and a field that is a word of the language has an underscore after it."""

    def __init__(self, directory, pattern, without=(), strip=without_c_comments,
                 function="{0}", struct="{0}", setter="{0}_?", getter="{0}_?"):
        self.directory, self.pattern, self.without = directory, pattern, without
        self.strip = strip
        self.forms = {"function": function, "struct": struct, "setter": setter, "getter": getter}

    def sources(self):
        for path in sorted((BINDINGS / self.directory).glob(self.pattern)):
            rooms = path.relative_to(BINDINGS / self.directory).parts
            if not any(re.fullmatch(word, room) for word in self.without for room in rooms):
                yield self.strip(path.read_text("utf-8"))

    def word(self, form, name):
        """The regular expression of a name as a whole word."""
        form = self.forms[form].replace("{0}", name).replace("{1}", capital(name)) \
            .replace("{2}", class_name(name))
        return re.compile(rf"(?<![\w]){form}(?!\w)")


LANGUAGES = {
    "go": Language("go", "*.go", without=[r".*_test\.go"], function=r"raw\.{1}",
                   struct=r"raw\.{1}", setter="{1}", getter="{1}"),
    "rust": Language("rust/npuenc/src", "**/*.rs", function="sys::{0}"),
    "csharp": Language("csharp", "**/*.cs", function=r"npuenc\.{0}",
                       without=["raw", "native", "(?i:tests?|examples?|bench|obj|bin)"]),
    "python": Language("python/npuenc", "**/*.py", without=[r"_raw\.py"],
                       function=r"_raw\.{0}", struct=r"(?:{0}|class {2})",
                       strip=without_python_comments),
}


class Header:
    """Functions, constants, {struct: fields}, and the structs that callers fill in."""

    def __init__(self, lines):
        self.functions, self.constants, self.structs, self.inputs = [], [], {}, set()
        for line in lines:
            if found := re.match(r"(?:macro|enum \w+:) (NPUENC_\w+) = (.+)", line):
                if found[1] != "NPUENC_API":
                    self.constants.append(found[1])
            elif found := re.match(r"struct (\w+):", line):
                self.structs[found[1]] = []
            elif found := re.match(r"field (\w+)\.(\w+):", line):
                if found[2] not in PLUMBING:
                    self.structs[found[1]].append(found[2])
            elif found := re.match(r"function .*?\b(npuenc_\w+)\((.*)\)", line):
                self.functions.append(found[1])
                self.inputs.update(re.findall(r"const (npuenc_\w+) ?\*", found[2]))
        self.inputs &= set(self.structs)

    def names(self):
        fields = [f"{struct}.{field}" for struct in self.structs for field in self.structs[struct]]
        return [*self.functions, *self.constants, *fields]


def text_after(source, struct, words):
    """What follows each mention of a struct until another one is mentioned."""
    others = sorted(found.start() for name, word in words.items() if name != struct
                    for found in word.finditer(source))
    for found in words[struct].finditer(source):
        end = next((start for start in others if start > found.start()), len(source))
        yield source[found.start():end]


def reached(header, language):
    """The names that a safe layer reaches."""
    sources = list(language.sources())
    whole = "\n".join(sources)
    for name in header.functions:
        if language.word("function", name).search(whole):
            yield name
    for name in header.constants:
        if re.search(rf"\b{name}\b", whole):
            yield name
    words = {struct: language.word("struct", struct) for struct in header.structs}
    for struct, fields in header.structs.items():
        scopes = "\n".join(scope for source in sources
                           for scope in text_after(source, struct, words))
        for field in fields:
            form = "setter" if struct in header.inputs else "getter"
            if language.word(form, field).search(scopes):
                yield f"{struct}.{field}"


def left_out(path):
    """{name: reason}, and what is wrong with the file."""
    reasons, wrong = {}, []
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        if not line or line.startswith("#"):
            continue
        name, _, reason = line.partition(": ")
        if not reason.strip():
            wrong.append(f"{path.relative_to(environment.ROOT)}: no reason in {line!r}")
        elif name in reasons:
            wrong.append(f"{path.relative_to(environment.ROOT)}: {name} twice")
        reasons[name] = reason
    return reasons, wrong


def problems(header, name):
    reasons, wrong = left_out(BINDINGS / name / "left-out.txt")
    found = set(reached(header, LANGUAGES[name]))
    for item in header.names():
        if item not in found and item not in reasons:
            wrong.append(f"{name}: {item} is neither reached nor left out")
    for item in reasons:
        if item not in header.names():
            wrong.append(f"{name}: {item} is left out, but the header does not have it")
        elif item in found:
            wrong.append(f"{name}: {item} is left out, but reached")
    return wrong


def main():
    values = (environment.ROOT / "tests" / "abi" / "values.txt").read_text("utf-8")
    header = Header(values.splitlines())
    wrong = [problem for name in environment.LANGUAGES for problem in problems(header, name)]
    print("\n".join(f"FAIL: {problem}" for problem in wrong)
          or f"{len(header.names())} names in each of {', '.join(environment.LANGUAGES)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
