// SPDX-License-Identifier: MIT
// The manifest of an overlay, word for word, and the SHA-256 in it against published digests.
#include "kernels/aie2/container/manifest.hpp" // before cmocka, which has a macro fail()
#include "kernels/aie2/container/sha256.hpp"
#include "kernels/aie2/container/xclbin.hpp"
#include "tests/kernels/aie2/container/support.hpp"

using namespace npuenc::aie2;

namespace {

std::string sha256_of(const std::string& message) {
    return text_of_bytes(
        sha256({reinterpret_cast<const uint8_t*>(message.data()), message.size()}));
}

// The examples of FIPS 180-4's companion, and lengths around a block as sha256sum has them.
void sha256_as_published(void**) {
    const std::pair<std::string, const char*> examples[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {std::string(1000000, 'a'),
         "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
        {std::string(55, 'a'), "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
        {std::string(64, 'a'), "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
    };
    for (const auto& [message, digest] : examples) {
        assert_string_equal(sha256_of(message).c_str(), digest);
    }
}

void manifest_as_documented(void**) {
    Xclbin overlay;
    overlay.columns = 1;
    overlay.start_columns = {1, 2, 3, 4};
    overlay.kernels = {dpu_kernel(2)};
    const std::vector<uint8_t> file = write_xclbin(overlay);
    Manifest manifest;
    manifest.name = "attention_s8_64x64";
    manifest.kernel = "attention";
    manifest.types = {{"result", "int8"}, {"input", "int8 \"\\\""}};
    manifest.tile = {{"rows", 64}, {"columns", 64}};
    const std::string expected = R"({
  "columns": 1,
  "kernel": "attention",
  "layout": {},
  "name": "attention_s8_64x64",
  "sha256": ")" + text_of_bytes(sha256(file)) +
                                 R"(",
  "start_columns": [1, 2, 3, 4],
  "tile": {
    "columns": 64,
    "rows": 64
  },
  "types": {
    "input": "int8 \"\\\"",
    "result": "int8"
  },
  "uuid": ")" + text_of(parse_xclbin(file).uuid) +
                                 R"(",
  "version": "0.9.0"
}
)";
    assert_string_equal(write_manifest(manifest, file, "0.9.0").c_str(), expected.c_str());
    manifest.name = "a\nb";
    assert_error("manifest: control characters in \"a?b\"",
                 [&] { write_manifest(manifest, file, "0.9.0"); });
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(sha256_as_published),
        cmocka_unit_test(manifest_as_documented),
    };
    return cmocka_run_group_tests_name("manifest", tests, nullptr, nullptr);
}
