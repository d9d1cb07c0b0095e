// SPDX-License-Identifier: MIT
// EMBEDDED_METADATA, the XML in an xclbin that declares the kernels.
#include "kernels/aie2/container/metadata.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

namespace npuenc::aie2 {

namespace {

[[noreturn]] void malformed(const std::string& what) {
    throw ContainerError("xclbin: EMBEDDED_METADATA: " + what);
}

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Tag by tag through the part of XML that tools write for kernels: elements with attributes,
// comments, processing instructions. No declarations, so no entities but the five of XML itself.
class Scanner {
  public:
    explicit Scanner(std::string_view xml) : rest(xml) {}

    // Reads on to the next tag, an opening or a closing one; false at the end.
    bool next() {
        if (is_empty) { // the closing half of <tag/>
            is_empty = false;
            is_closing = true;
            return true;
        }
        for (;;) {
            const size_t begin = rest.find('<');
            if (begin == rest.npos) {
                return false;
            }
            rest.remove_prefix(begin + 1);
            if (rest.starts_with("?")) {
                skip_past("?>");
            } else if (rest.starts_with("!--")) {
                skip_past("-->");
            } else if (rest.starts_with("!")) {
                malformed("it has declarations");
            } else {
                break;
            }
        }
        is_closing = rest.starts_with("/");
        if (is_closing) {
            rest.remove_prefix(1);
        }
        name = take_name();
        attributes.clear();
        while (!rest.starts_with(">") && !rest.starts_with("/>")) {
            take_attribute();
        }
        is_empty = rest.front() == '/';
        if (is_closing && (is_empty || !attributes.empty())) {
            malformed("the closing tag of " + quoted(name) + " has more than its name");
        }
        rest.remove_prefix(is_empty ? 2 : 1);
        return true;
    }

    const std::string& text(const std::string& attribute) const {
        const auto found = attributes.find(attribute);
        if (found == attributes.end()) {
            malformed("element " + quoted(name) + " has no " + attribute);
        }
        return found->second;
    }

    // Decimal, or hexadecimal with 0x.
    uint32_t number(const std::string& attribute) const {
        std::string_view digits = text(attribute);
        const int base = digits.starts_with("0x") ? 16 : 10;
        if (base == 16) {
            digits.remove_prefix(2);
        }
        uint32_t value = 0;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
        if (error != std::errc() || end != digits.data() + digits.size()) {
            malformed("element " + quoted(name) + " has the " + attribute + " " +
                      quoted(text(attribute)) + ", which is no number of 32 bits");
        }
        return value;
    }

    std::string_view name;
    bool is_closing = false;

  private:
    void skip_past(std::string_view end) {
        const size_t found = rest.find(end);
        if (found == rest.npos) {
            malformed("it ends before " + std::string(end));
        }
        rest.remove_prefix(found + end.size());
    }

    void skip_spaces() {
        rest.remove_prefix(static_cast<size_t>(
            std::find_if_not(rest.begin(), rest.end(), is_space) - rest.begin()));
        if (rest.empty()) {
            malformed("it ends inside a tag");
        }
    }

    std::string_view take_name() {
        const std::string_view taken =
            rest.substr(0, std::min(rest.find_first_of(" \t\r\n=/><\"'"), rest.size()));
        if (taken.empty()) {
            malformed("a tag or attribute has no name");
        }
        rest.remove_prefix(taken.size());
        skip_spaces();
        return taken;
    }

    void take_attribute() {
        const std::string attribute(take_name());
        if (!rest.starts_with("=")) {
            malformed("attribute " + quoted(attribute) + " has no value");
        }
        rest.remove_prefix(1);
        skip_spaces();
        const char quote = rest.front();
        const size_t end = rest.find(quote, 1);
        if ((quote != '"' && quote != '\'') || end == rest.npos) {
            malformed("the value of attribute " + quoted(attribute) + " is not in quotes");
        }
        attributes[attribute] = unescaped(rest.substr(1, end - 1));
        rest.remove_prefix(end + 1);
        skip_spaces();
    }

    static std::string unescaped(std::string_view value) {
        static constexpr std::pair<std::string_view, char> entities[] = {
            {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&amp;", '&'}};
        std::string plain;
        while (!value.empty()) {
            if (value.front() != '&') {
                plain += value.front();
                value.remove_prefix(1);
                continue;
            }
            const auto entity =
                std::find_if(std::begin(entities), std::end(entities),
                             [&](const auto& known) { return value.starts_with(known.first); });
            if (entity == std::end(entities)) {
                malformed("unknown entity at " + quoted(value));
            }
            plain += entity->second;
            value.remove_prefix(entity->first.size());
        }
        return plain;
    }

    std::string_view rest;
    std::map<std::string, std::string> attributes;
    bool is_empty = false;
};

KernelArgument argument_of(const Scanner& tag) {
    KernelArgument argument;
    argument.name = tag.text("name");
    argument.type = tag.text("type");
    argument.size = tag.number("size");
    argument.offset = tag.number("offset");
    if (tag.number("addressQualifier") != 0) {
        argument.memory = "?";
    }
    return argument;
}

const std::string& plain(const std::string& name) {
    if (name.find_first_of("<>&\"'") != name.npos) {
        malformed(quoted(name) + " would have to be escaped");
    }
    return name;
}

} // namespace

std::string write_metadata(const std::vector<Kernel>& kernels) {
    std::string xml = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<project>\n  <platform>\n"
                      "    <device>\n      <core>\n";
    for (const Kernel& kernel : kernels) {
        xml += "        <kernel name=\"" + plain(kernel.name) + "\" language=\"c\" type=\"dpu\">\n";
        xml += "          <extended-data subtype=\"1\" functional=\"0\" dpu_kernel_id=\"" +
               hexadecimal(kernel.id) + "\"/>\n";
        for (size_t i = 0; i < kernel.arguments.size(); i++) {
            const KernelArgument& argument = kernel.arguments[i];
            const std::string size = hexadecimal(argument.size);
            // mlir-aie writes the offset 0 so.
            const std::string offset = argument.offset == 0 ? "0x00" : hexadecimal(argument.offset);
            xml += "          <arg name=\"" + plain(argument.name) + "\" addressQualifier=\"" +
                   (argument.memory.empty() ? "0" : "1") + "\" id=\"" + std::to_string(i) +
                   "\" size=\"" + size + "\" offset=\"" + offset +
                   "\" hostOffset=\"0x0\" hostSize=\"" + size + "\" type=\"" +
                   plain(argument.type) + "\"/>\n";
        }
        xml += "          <instance name=\"" + plain(kernel.instance) + "\"/>\n";
        xml += "        </kernel>\n";
    }
    return xml + "      </core>\n    </device>\n  </platform>\n</project>\n";
}

std::vector<Kernel> parse_metadata(std::string_view xml) {
    std::vector<Kernel> kernels;
    std::vector<std::string_view> open;
    std::map<uint32_t, KernelArgument> arguments; // by number: tools sort them, but need not
    for (Scanner tag(xml); tag.next();) {
        if (tag.is_closing) {
            if (open.empty() || open.back() != tag.name) {
                malformed("the closing tag of " + quoted(tag.name) + " closes nothing");
            }
            open.pop_back();
            if (tag.name == "kernel") {
                for (auto& [id, argument] : arguments) {
                    if (id != kernels.back().arguments.size()) {
                        malformed("kernel " + quoted(kernels.back().name) + " has no argument " +
                                  std::to_string(kernels.back().arguments.size()));
                    }
                    kernels.back().arguments.push_back(std::move(argument));
                }
                arguments.clear();
            }
            continue;
        }
        const bool in_kernel = !open.empty() && open.back() == "kernel";
        if (tag.name == "kernel") {
            if (std::find(open.begin(), open.end(), tag.name) != open.end()) {
                malformed("a kernel lies in a kernel");
            }
            kernels.emplace_back().name = tag.text("name");
        } else if (in_kernel && tag.name == "extended-data") {
            kernels.back().id = tag.number("dpu_kernel_id");
        } else if (in_kernel && tag.name == "instance") {
            // Of several the first: each is one more place for the same kernel.
            if (kernels.back().instance.empty()) {
                kernels.back().instance = tag.text("name");
            }
        } else if (in_kernel && tag.name == "arg") {
            if (!arguments.emplace(tag.number("id"), argument_of(tag)).second) {
                malformed("kernel " + quoted(kernels.back().name) + " has two arguments " +
                          std::to_string(tag.number("id")));
            }
        }
        open.push_back(tag.name);
    }
    if (!open.empty()) {
        malformed("it ends inside " + quoted(open.back()));
    }
    return kernels;
}

} // namespace npuenc::aie2
