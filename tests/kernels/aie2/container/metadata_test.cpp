// SPDX-License-Identifier: MIT
// EMBEDDED_METADATA: the XML that xclbinutil makes, that of other tools, and what is said of each
// malformation.
#include "kernels/aie2/container/metadata.hpp" // before cmocka, which has a macro fail()
#include "tests/kernels/aie2/container/support.hpp"

using namespace npuenc::aie2;

namespace {

// Of an overlay by mlir-aie with one buffer.
constexpr const char* published = R"(<?xml version="1.0" encoding="utf-8"?>
<project>
  <platform>
    <device>
      <core>
        <kernel name="MLIR_AIE" language="c" type="dpu">
          <extended-data subtype="1" functional="0" dpu_kernel_id="0x901"/>
          <arg name="opcode" addressQualifier="0" id="0" size="0x8" offset="0x00" hostOffset="0x0" hostSize="0x8" type="uint64_t"/>
          <arg name="instr" addressQualifier="1" id="1" size="0x8" offset="0x8" hostOffset="0x0" hostSize="0x8" type="char *"/>
          <arg name="ninstr" addressQualifier="0" id="2" size="0x4" offset="0x10" hostOffset="0x0" hostSize="0x4" type="uint32_t"/>
          <arg name="bo0" addressQualifier="1" id="3" size="0x8" offset="0x14" hostOffset="0x0" hostSize="0x8" type="void*"/>
          <instance name="MLIRAIE"/>
        </kernel>
      </core>
    </device>
  </platform>
</project>
)";

void metadata_as_published(void**) {
    assert_string_equal(write_metadata({dpu_kernel(1)}).c_str(), published);
    Kernel expected = dpu_kernel(1);
    for (KernelArgument& argument : expected.arguments) {
        argument.memory = argument.memory.empty() ? "" : "?";
    }
    assert_true(parse_metadata(published) == std::vector<Kernel>{expected});
}

// Another order of attributes and arguments, other quotes, comments, entities, other elements.
void metadata_of_other_tools(void**) {
    const std::vector<Kernel> read = parse_metadata(
        "<?xml version='1.0'?><!-- <kernel> --><project a=\"&lt;&amp;&gt;\">text\n"
        "<kernel type = 'dpu' name='k'>\t<arg id='1' addressQualifier='0' size='4' name='n' "
        "offset='0x8' type='int'/><arg id='0' addressQualifier='1' size='0x8' name='a' offset='0' "
        "type='char &amp;&quot;&apos;'></arg><string value=''/><instance name='first'></instance>"
        "<instance name='second'/></kernel><kernel name='none'/></project>");
    const std::vector<Kernel> expected{
        {"k", "first", 0, {{"a", "char &\"'", 8, 0, "?"}, {"n", "int", 4, 8, ""}}},
        {"none", "", 0, {}}};
    assert_true(read == expected);
    assert_true(parse_metadata("").empty());
}

void metadata_malformed(void**) {
    const auto assert_malformed = [](const std::string& expected, const std::string& xml) {
        assert_error("xclbin: EMBEDDED_METADATA: " + expected, [&] { parse_metadata(xml); });
    };
    const std::string arg = "<arg name='a' type='t' size='4' offset='0' addressQualifier='0' ";
    assert_malformed("it has declarations", "<!DOCTYPE x [<!ENTITY y 'z'>]>");
    assert_malformed("it ends before ?>", "<?xml");
    assert_malformed("it ends before -->", "<!-- ->");
    assert_malformed("it ends inside a tag", "<a");
    assert_malformed("it ends inside a tag", "<a b='c'");
    assert_malformed("it ends inside \"a\"", "<a><b></b>");
    assert_malformed("the closing tag of \"b\" closes nothing", "<a></b>");
    assert_malformed("the closing tag of \"a\" closes nothing", "</a>");
    assert_malformed("the closing tag of \"a\" has more than its name", "<a></a b='c'>");
    assert_malformed("a tag or attribute has no name", "< >");
    assert_malformed("a tag or attribute has no name", "<a ='b'>");
    assert_malformed("attribute \"b\" has no value", "<a b>");
    assert_malformed("the value of attribute \"b\" is not in quotes", "<a b=c>");
    assert_malformed("the value of attribute \"b\" is not in quotes", "<a b='c>");
    assert_malformed("unknown entity at \"&#10;?\"", "<a b='&#10;\n'>");
    assert_malformed("element \"kernel\" has no name", "<kernel>");
    assert_malformed("a kernel lies in a kernel", "<kernel name='a'><x><kernel name='b'/></x>");
    assert_malformed("element \"arg\" has no id", "<kernel name='k'>" + arg + "/>");
    assert_malformed("element \"arg\" has the id \"0x\", which is no number of 32 bits",
                     "<kernel name='k'>" + arg + "id='0x'/>");
    assert_malformed("element \"arg\" has the id \"4k\", which is no number of 32 bits",
                     "<kernel name='k'>" + arg + "id='4k'/>");
    assert_malformed("element \"arg\" has the id \"-1\", which is no number of 32 bits",
                     "<kernel name='k'>" + arg + "id='-1'/>");
    assert_malformed("element \"arg\" has the id \"4294967296\", which is no number of 32 bits",
                     "<kernel name='k'>" + arg + "id='4294967296'/>");
    assert_malformed("kernel \"k\" has two arguments 0",
                     "<kernel name='k'>" + arg + "id='0'/>" + arg + "id='0'/>");
    assert_malformed("kernel \"k\" has no argument 1",
                     "<kernel name='k'>" + arg + "id='0'/>" + arg + "id='4000000000'/></kernel>");
    assert_error("xclbin: EMBEDDED_METADATA: \"a\"b\" would have to be escaped", [] {
        write_metadata({{"k", "a\"b", 1, {}}});
    });
}

void metadata_truncated(void**) {
    const std::string whole = published;
    const size_t begin = whole.find("<project>") + 1, end = whole.rfind('>');
    for (size_t size = begin; size < end; size++) {
        error_of([&] { parse_metadata(std::string_view(whole).substr(0, size)); });
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(metadata_as_published),
        cmocka_unit_test(metadata_of_other_tools),
        cmocka_unit_test(metadata_malformed),
        cmocka_unit_test(metadata_truncated),
    };
    return cmocka_run_group_tests_name("metadata", tests, nullptr, nullptr);
}
