#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Overlays of this project against the real tools of XRT 2.25.

xclbinutil makes the same overlay from its own JSON, and every section must be equal to ours, byte for
byte; it must read our file; and xrt::xclbin must find in it the kernels, arguments and uuid.
Skipped where tools/xrt-prefix has not been run.
"""

import json
import pathlib
import shlex
import struct
import subprocess
import sys
import tempfile
import uuid

SKIPPED = 77

KINDS = {2: "EMBEDDED_METADATA", 6: "MEM_TOPOLOGY", 7: "CONNECTIVITY", 8: "IP_LAYOUT",
         26: "GROUP_TOPOLOGY", 27: "GROUP_CONNECTIVITY", 32: "AIE_PARTITION"}

# columns, buffers, start columns
OVERLAYS = [(4, 3, [1]), (1, 2, [1, 2, 3, 4]), (4, 5, [1])]


def arguments_of(buffers):
    """As aiecc of mlir-aie declares them: name, type, size, offset, memory."""
    fixed = [("opcode", "uint64_t", 8, 0x00, None), ("instr", "char *", 8, 0x08, "SRAM"),
             ("ninstr", "uint32_t", 4, 0x10, None)]
    return fixed + [(f"bo{i}", "void*", 8, 0x14 + 8 * i, "HOST") for i in range(buffers)]


def description_of(columns, buffers, start_columns, image, image_uuid):
    """The JSON files that xclbinutil takes; it calls a section as its file."""
    arguments = []
    for name, ctype, _, offset, memory in arguments_of(buffers):
        argument = {"name": name, "address-qualifier": "GLOBAL" if memory else "SCALAR",
                    "type": ctype, "offset": "0x00" if offset == 0 else hex(offset)}
        if memory:
            argument["memory-connection"] = memory
        arguments.append(argument)
    memories = [{"m_type": "MEM_DRAM", "m_used": "1", "m_sizeKB": size, "m_tag": tag,
                 "m_base_address": "0x4000000"} for tag, size in (("HOST", "0x10000"),
                                                                 ("SRAM", "0xc000"))]
    group = {"name": "DPU", "type": "PRIMARY", "pdi_id": "0x01", "dpu_kernel_ids": ["0x901"],
             "pre_cdo_groups": ["0xC1"]}
    return {
        "mem_topology": {"mem_topology": {"m_count": "2", "m_mem_data": memories}},
        "kernels": {"ps-kernels": {"kernels": [{
            "name": "MLIR_AIE", "type": "dpu",
            "extended-data": {"subtype": "DPU", "functional": "0", "dpu_kernel_id": "0x901"},
            "arguments": arguments, "instances": [{"name": "MLIRAIE"}]}]}},
        "aie_partition": {"aie_partition": {
            "name": "QoS", "operations_per_cycle": "2048", "inference_fingerprint": "23423",
            "pre_post_fingerprint": "12345",
            "partition": {"column_width": columns, "start_columns": start_columns},
            "PDIs": [{"uuid": str(image_uuid), "file_name": str(image), "cdo_groups": [group]}]}},
    }


def sections_of(path):
    """(kind, name, data) of each section, in the file's order."""
    data = path.read_bytes()
    sections = []
    for i in range(struct.unpack_from("<I", data, 0x1c0)[0]):
        kind, name, offset, size = struct.unpack_from("<I16s4xQQ", data, 0x1c8 + 40 * i)
        sections.append((kind, name, offset, data[offset:offset + size]))
    return sections


def image_uuid_of(path):
    """The uuid that our file gives its image."""
    partition = next(data for kind, _, _, data in sections_of(path) if kind == 32)
    images = struct.unpack_from("<I", partition, 124)[0]
    return uuid.UUID(bytes=partition[images:images + 16])


class Prefix:
    """XRT beside this system: what to compile with, and how to start its programs."""

    def __init__(self, path, scratch):
        self.path = path
        self.libraries = path / "usr/lib/x86_64-linux-gnu"
        self.scratch = scratch

    def run(self, *command):
        """What a program prints; it starts with the prefix's own loader."""
        return subprocess.run(
            [self.path / "lib64/ld-linux-x86-64.so.2", "--library-path", self.libraries, *command],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=self.scratch).stdout

    def xclbinutil(self, *arguments):
        return self.run(self.path / "usr/bin/xclbinutil", *arguments)

    def compile(self, compiler, source):
        program = self.scratch / source.stem
        subprocess.run(
            [*compiler, "-std=c++17", "-isystem", self.path / "usr/include", "-isystem",
             self.path / "usr/include/x86_64-linux-gnu", source, "-o", program,
             f"-L{self.libraries}", "-lxrt_coreutil", "-luuid", "-Wl,--allow-shlib-undefined"],
            check=True)
        return program


def check(condition, text):
    if not condition:
        sys.exit(text)


def check_sections(ours, theirs):
    """Both files hold the same sections at the same places."""
    pairs = list(zip(sections_of(ours), sections_of(theirs), strict=True))
    for (kind, name, offset, data), (their_kind, their_name, their_offset, their_data) in pairs:
        check((kind, name, offset) == (their_kind, their_name, their_offset),
              f"{KINDS[kind]} is where xclbinutil has {KINDS.get(their_kind, their_kind)}")
        differing = [i for i, (a, b) in enumerate(zip(data, their_data)) if a != b]
        check(data == their_data, f"{KINDS[kind]}: {len(data)} bytes, {len(their_data)} by "
              f"xclbinutil, differing at {differing[:10]}")
    check(len(pairs) == len(KINDS), f"{len(pairs)} sections")


def check_overlay(prefix, program, write_overlay, overlay):
    columns, buffers, start_columns = overlay
    ours, theirs, image = (prefix.scratch / name
                           for name in ("ours.xclbin", "theirs.xclbin", "image.pdi"))
    subprocess.run([write_overlay, str(columns), str(buffers), *map(str, start_columns), ours,
                    image], check=True)

    files = {}
    for name, content in description_of(columns, buffers, start_columns, image,
                                        image_uuid_of(ours)).items():
        files[name] = prefix.scratch / f"{name}.json"
        files[name].write_text(json.dumps(content), encoding="utf-8")
    prefix.xclbinutil("--add-replace-section", f"MEM_TOPOLOGY:JSON:{files['mem_topology']}",
                      "--add-kernel", files["kernels"], "--add-replace-section",
                      f"AIE_PARTITION:JSON:{files['aie_partition']}", "--force", "--quiet",
                      "--output", theirs)
    check_sections(ours, theirs)

    file_uuid = str(uuid.UUID(bytes=ours.read_bytes()[0x1a0:0x1b0]))
    info = " ".join(prefix.xclbinutil("--info", "--input", ours).split())
    for wanted in (f"UUID (xclbin): {file_uuid}", "Sections: MEM_TOPOLOGY, AIE_PARTITION, "
                   "EMBEDDED_METADATA, IP_LAYOUT, CONNECTIVITY, GROUP_CONNECTIVITY, "
                   "GROUP_TOPOLOGY", "Name: HOST", "Name: SRAM"):
        check(wanted in info, f"xclbinutil --info does not say {wanted!r}: {info}")

    found = json.loads(prefix.run(program, ours))
    expected = {
        "uuid": file_uuid, "operations": [2048],
        "kernels": [{
            "name": "MLIR_AIE", "is_dpu": 1, "instances": ["MLIR_AIE:MLIRAIE"],
            "arguments": [{"index": i, "name": name, "type": ctype, "size": size, "offset": offset,
                           "memories": [memory] if memory else []}
                          for i, (name, ctype, size, offset, memory)
                          in enumerate(arguments_of(buffers))]}],
    }
    check(found == expected, f"xrt::xclbin found {found}, expected {expected}")


def main():
    tool, write_overlay, source, compiler = sys.argv[1:5]
    located = subprocess.run([tool, "--print-path"], check=False, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    if located.returncode != 0:
        print(located.stderr.strip().removeprefix("xrt-prefix: "))
        return SKIPPED
    with tempfile.TemporaryDirectory() as scratch:
        prefix = Prefix(pathlib.Path(located.stdout.strip()), pathlib.Path(scratch))
        program = prefix.compile(shlex.split(compiler), pathlib.Path(source))
        for overlay in OVERLAYS:
            check_overlay(prefix, program, write_overlay, overlay)
    print(f"{len(OVERLAYS)} overlays: every section as xclbinutil makes it, read by XRT")
    return 0


if __name__ == "__main__":
    sys.exit(main())
