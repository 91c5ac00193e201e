#!/usr/bin/env python3
"""Each rule of check_tree.py finds what it forbids and leaves alone what it allows."""

import json
import pathlib
import tempfile
import unittest

import check_tree

HEADER = "#pragma once\n// What it is. Pure.\n"


def findings(path, text, exists=lambda header: True):
    return [f.text for f in check_tree.check_file(path, text, exists) if not f.warning]


class Includes(unittest.TestCase):
    def allowed(self, path, include):
        text = f"#include {include}\n"
        return not findings(path, HEADER + text if path.endswith(".hpp") else text)

    def test_dependencies_point_down(self):
        self.assertTrue(self.allowed("server/core/router.cpp", '"protocol/topic/match.hpp"'))
        self.assertTrue(self.allowed("server/shard/shard.cpp", '"server/core/router.hpp"'))
        self.assertFalse(self.allowed("server/core/router.cpp", '"server/shard/shard.hpp"'))
        self.assertFalse(self.allowed("protocol/codec/decoder.cpp", '"server/core/router.hpp"'))
        self.assertFalse(self.allowed("base/bytes.cpp", '"protocol/message.hpp"'))
        self.assertFalse(self.allowed("persistence/record.hpp", '"protocol/session/session.hpp"'))

    def test_protocol_sees_no_log(self):
        self.assertTrue(self.allowed("protocol/message.hpp", '"base/clock.hpp"'))
        self.assertFalse(self.allowed("protocol/message.hpp", '"base/log.hpp"'))

    def test_core_sees_no_engine(self):
        self.assertTrue(self.allowed("server/core/a.cpp", '"persistence/contract/engine.hpp"'))
        self.assertFalse(self.allowed("server/core/a.cpp", '"persistence/sqlite/engine.hpp"'))
        self.assertFalse(self.allowed("server/core/a.cpp", '"persistence/memory/engine.hpp"'))
        self.assertTrue(self.allowed("server/core/a_test.cpp", '"persistence/memory/engine.hpp"'))

    def test_nobody_includes_the_app(self):
        self.assertFalse(self.allowed("tools/client/client.cpp", '"server/app/server.hpp"'))
        self.assertTrue(self.allowed("server/app/main.cpp", '"server/app/server.hpp"'))
        self.assertTrue(self.allowed("tests/sim/world.cpp", '"server/app/server.hpp"'))

    def test_config_sees_options_only(self):
        self.assertTrue(self.allowed("server/config/a.hpp", '"server/shard/shard_options.hpp"'))
        self.assertFalse(self.allowed("server/config/a.hpp", '"server/shard/shard.hpp"'))

    def test_libraries_have_their_places(self):
        self.assertTrue(self.allowed("protocol/message.hpp", "<vector>"))
        self.assertTrue(self.allowed("base/log.cpp", "<spdlog/logger.h>"))
        self.assertFalse(self.allowed("base/bytes.cpp", "<spdlog/logger.h>"))
        self.assertFalse(self.allowed("protocol/message.hpp", "<boost/asio.hpp>"))
        self.assertFalse(self.allowed("protocol/message.hpp", "<unistd.h>"))
        self.assertTrue(self.allowed("server/shard/loop.cpp", "<sys/epoll.h>"))
        self.assertFalse(self.allowed("server/core/a.cpp", "<sqlite3.h>"))
        self.assertTrue(self.allowed("persistence/sqlite/a.cpp", "<sqlite3.h>"))
        self.assertTrue(self.allowed("server/transport/upgrade.cpp", "<boost/asio/buffer.hpp>"))
        self.assertFalse(self.allowed("server/transport/upgrade.cpp", "<boost/asio.hpp>"))
        self.assertFalse(self.allowed("protocol/message.hpp", "<gtest/gtest.h>"))
        self.assertTrue(self.allowed("protocol/message_test.cpp", "<gtest/gtest.h>"))

    def test_paths_start_at_the_root(self):
        self.assertTrue(findings("base/a.cpp", '#include "bytes.hpp"\n', lambda header: False))

    def test_what_is_included_is_written_there(self):
        name = "an include names its header"
        for line in ("#include MACRO", "# include  HEADER_OF(json)", "#include \\\n<sqlite3.h>",
                     "#include_next <vector>", "#import <sqlite3.h>", "%:include <sqlite3.h>",
                     "#include <sqlite3.h"):
            text = "#define MACRO <sqlite3.h>\n" + line + "\n"
            self.assertTrue(any(name in found for found in findings("base/a.cpp", text)), line)
        for line in ("// #include MACRO", "#include/**/<vector>", "#  include <vector>  // MACRO",
                     '#if __has_include(<optional>)\n#endif'):
            self.assertFalse(findings("base/a.cpp", line + "\n"), line)

    def test_commented_includes_do_not_count(self):
        self.assertTrue(self.allowed("base/a.cpp", "<vector>  // #include <sqlite3.h>"))
        self.assertFalse(findings("base/a.cpp", "/*\n#include <sqlite3.h>\n*/\n"))

    def test_a_new_folder_needs_a_row(self):
        self.assertTrue(self.allowed("server/bridge/a.cpp", "<boost/asio.hpp>"))
        self.assertFalse(self.allowed("plugins/a.cpp", "<vector>"))


class Bans(unittest.TestCase):
    def banned(self, path, code):
        text = (HEADER if path.endswith(".hpp") else "") + code + "\n"
        return bool(findings(path, text))

    def test_clocks(self):
        code = "auto t = std::chrono::steady_clock::now();"
        self.assertTrue(self.banned("server/shard/a.cpp", code))
        self.assertFalse(self.banned("base/clock.cpp", code))
        self.assertTrue(self.banned("server/core/a.cpp", "f(monotonic_now());"))
        self.assertFalse(self.banned("server/shard/a.cpp", "f(monotonic_now());"))

    def test_randomness(self):
        self.assertTrue(self.banned("tools/a.cpp", "std::random_device device;"))
        self.assertFalse(self.banned("tools/a.cpp", "Random random{random_seed()};"))
        self.assertTrue(self.banned("protocol/a.cpp", "Random random{random_seed()};"))

    def test_sleeps(self):
        self.assertTrue(self.banned("tests/sim/a_test.cpp", "std::this_thread::sleep_for(1s);"))
        self.assertFalse(self.banned("tests/sim/a_test.cpp", "sim.sleep_cycle(1s);"))

    def test_threads(self):
        self.assertTrue(self.banned("protocol/a.cpp", "std::thread t{f};"))
        self.assertFalse(self.banned("protocol/a.cpp", "std::thread::id id;"))
        self.assertFalse(self.banned("server/shard/a.cpp", "std::thread t{f};"))
        self.assertFalse(self.banned("base/a_test.cpp", "std::thread t{f};"))

    def test_shared_ownership(self):
        self.assertTrue(self.banned("server/core/a.hpp", "std::shared_ptr<int> p;"))
        self.assertFalse(self.banned("auth/a.hpp", "std::shared_ptr<const int> p;"))

    def test_using_namespace(self):
        self.assertTrue(self.banned("base/a.hpp", "using namespace std;"))
        self.assertFalse(self.banned("base/a.cpp", "using namespace std::chrono_literals;"))

    def test_friends_for_tests(self):
        self.assertTrue(self.banned("base/a.hpp", "friend class SessionTest;"))
        self.assertFalse(self.banned("base/a.hpp", "friend class Session;"))

    def test_words_in_comments_and_strings_are_free(self):
        self.assertFalse(self.banned("base/a.cpp", "// steady_clock::now() would be wrong"))
        self.assertFalse(self.banned("base/a.cpp", 'auto s = "sleep_for";'))
        self.assertFalse(self.banned("base/a.cpp", 'auto s = R"x(sleep_for(")x";'))
        self.assertTrue(self.banned("base/a.cpp", "int n = 1'000; sleep_for(1'0);"))

    def test_catch_all_rethrows(self):
        self.assertTrue(self.banned("base/a.cpp", "try { f(); } catch (...) { if (x) { } }"))
        self.assertFalse(self.banned("base/a.cpp", "try { f(); } catch (...) { g(); throw; }"))
        self.assertFalse(self.banned("base/a.cpp", "try { f(); } catch (const E&) { }"))

    def test_long_lines(self):
        self.assertTrue(self.banned("base/a.cpp", "x" * 101))
        self.assertFalse(self.banned("base/a.cpp", "\u00fc" * 100))
        self.assertFalse(self.banned("docs/a.md", "x" * 101))

    def test_open_ends_carry_a_number(self):
        self.assertTrue(self.banned("base/a.cpp", "// TODO: later"))
        self.assertFalse(self.banned("base/a.cpp", "// TODO(#12): later"))


class Shape(unittest.TestCase):
    def test_headers_introduce_themselves(self):
        self.assertTrue(findings("base/a.hpp", "#pragma once\n#include <vector>\n"))
        self.assertTrue(findings("base/a.hpp", "// What it is.\n"))
        self.assertFalse(findings("base/a.hpp", HEADER))

    def test_size_is_a_warning(self):
        long_header = HEADER + "\n" * 300
        self.assertFalse(findings("base/a.hpp", long_header))
        self.assertTrue(list(check_tree.check_shape("base/a.hpp", long_header)))


class Built(unittest.TestCase):
    def test_sources_without_a_target_are_found(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder).resolve()
            (root / "build").mkdir()
            commands = [{"directory": str(root / "build"), "file": str(root / "base/a_test.cpp")},
                        {"directory": str(root / "build"), "file": "/usr/src/other.cpp"}]
            (root / "build/compile_commands.json").write_text(json.dumps(commands))
            paths = ["base/a.hpp", "base/a_test.cpp", "base/b_test.cpp"]
            found = check_tree.check_built(paths, root, root / "build")
            self.assertEqual([f.path for f in found], ["base/b_test.cpp"])


if __name__ == "__main__":
    unittest.main()
