"""gist merge: new stores from finished ones."""

import os
import shutil
import tempfile
import unittest

from families import LLAMA, for_each_family
from gist_cli import TempDirTest, records_of, rounding_varies, run
from stores import numbered, write_store


def ids_in(store):
    return [row["id"] for row in records_of(run("inspect", "--rows", store).out)]


class MergeTest(TempDirTest):
    family = LLAMA

    @classmethod
    def setUpClass(cls):
        cls.stores = tempfile.mkdtemp(prefix="gist-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.stores)
        cls.whole = cls.store("whole.h5", numbered(0, 5))

    @classmethod
    def store(cls, name, prompts, *options, **settings):
        return write_store(os.path.join(cls.stores, name), prompts, *options, family=cls.family,
                           **settings)

    def merge(self, *args, output="merged.h5", stdin=None):
        return run("merge", "--output", self.path(output), *args, stdin=stdin)

    def assertMerged(self, result, ids, duplicates=0, left_out=0):
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertEqual(records_of(result.out),
                         [{"output": self.path("merged.h5"), "rows": len(ids),
                           "duplicates": duplicates, "left_out": left_out}])
        self.assertEqual(ids_in(self.path("merged.h5")), ids)
        self.assertEqual(run("inspect", "--verify", self.path("merged.h5")).code, 0)


@for_each_family
class Proofs(MergeTest):
    @unittest.skipIf(rounding_varies(), rounding_varies())
    def test_shards_make_the_store_of_one_run_byte_for_byte(self):
        shards = [self.store(f"{i}.h5", numbered(0, 5), "--shard", f"{i}/3") for i in range(3)]
        with open(self.whole, "rb") as file:
            whole = file.read()
        for order in (shards, shards[::-1]):
            self.assertMerged(self.merge("--force", order), list(numbered(0, 5)))
            self.assertEqual(self.read("merged.h5"), whole)


class Merge(MergeTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.a = cls.store("a.h5", numbered(0, 3))
        cls.b = cls.store("b.h5", numbered(2, 5))  # p2 is in both
        cls.other_p0 = cls.store("other-p0.h5", {"p0": "Another prompt."})
        cls.half = cls.store("half.h5", {"q": "Count."}, "--store-dtype", "f16")

    def test_other_stores_come_in_argument_order_and_identical_rows_once(self):
        self.assertMerged(self.merge(self.b, self.a), ["p2", "p3", "p4", "p0", "p1"], duplicates=1)

    def test_one_input_is_copied(self):
        self.assertMerged(self.merge(self.a), ["p0", "p1", "p2"])

    def test_only_keeps_the_rows_it_names(self):
        self.assertMerged(self.merge("--only", "p3", "--only", "p1", self.whole), ["p1", "p3"],
                          left_out=3)

    def test_except_leaves_out_the_rows_it_names(self):
        self.assertMerged(self.merge("--except", "p3", self.whole), ["p0", "p1", "p2", "p4"],
                          left_out=1)

    def test_except_wins_over_only(self):
        self.assertMerged(
            self.merge("--only", "p1", "--only", "p3", "--except", "p1", self.whole), ["p3"],
            left_out=4)

    def test_ids_come_from_a_file_one_a_line(self):
        with open(self.path("ids"), "w", encoding="utf-8") as file:
            file.write("p4\n\np0")
        self.assertMerged(self.merge("--only", "@" + self.path("ids"), self.whole), ["p0", "p4"],
                          left_out=3)
        self.assertMerged(self.merge("--force", "--except", "@-", self.whole, stdin="p4\np0\n"),
                          ["p1", "p2", "p3"], left_out=2)

    def test_only_with_an_empty_file_keeps_nothing(self):
        self.assertMerged(self.merge("--only", "@-", self.whole, stdin=""), [], left_out=5)

    def test_id_of_no_input_is_refused(self):
        for option in ["--only", "--except"]:
            with self.subTest(option):
                self.assertFails(self.merge(option, "p0", option, "p77", self.a), 65, option,
                                 '"p77"')
                self.assertEqual(os.listdir(self.directory), [])

    def test_missing_id_file_is_a_missing_input(self):
        self.assertFails(self.merge("--only", "@" + self.path("none"), self.a), 66, "none")

    def test_existing_output_is_kept_without_force(self):
        self.assertEqual(self.merge(self.a).code, 0)
        self.assertFails(self.merge(self.b), 73, self.path("merged.h5"), "--force")
        self.assertEqual(ids_in(self.path("merged.h5")), ["p0", "p1", "p2"])
        self.assertMerged(self.merge("--force", self.b), ["p2", "p3", "p4"])

    def test_output_may_not_be_an_input_even_with_force(self):
        self.assertEqual(self.merge(self.a).code, 0)
        os.link(self.path("merged.h5"), self.path("link.h5"))
        with open(self.path("merged.h5"), "rb") as file:
            before = file.read()
        for name in ["merged.h5", "link.h5"]:
            self.assertFails(self.merge("--force", self.b, self.path(name)), 64, "input")
        with open(self.path("merged.h5"), "rb") as file:
            self.assertEqual(file.read(), before)

    def test_output_must_be_creatable(self):
        self.assertFails(self.merge(self.a, output="none/merged.h5"), 73, "none/merged.h5")
        self.assertFails(self.merge(self.a, "--force", output="."), 73, "directory")

    def test_one_id_for_two_prompts_is_refused(self):
        self.assertFails(self.merge(self.a, self.other_p0), 65, "p0", self.a, self.other_p0)
        self.assertEqual(os.listdir(self.directory), [])

    def test_one_id_with_two_numbers_of_gist_tokens_is_refused(self):
        longer = self.store("longer.h5", {"p0": "Count the words 0 times."}, gist_tokens=2)
        self.assertFails(self.merge(self.a, longer), 65, "p0", "two lengths, 1 in", "and 2 in", longer)
        self.assertEqual(os.listdir(self.directory), [])

    def test_one_id_for_two_prompts_is_merged_where_it_is_left_out(self):
        self.assertMerged(self.merge("--except", "p0", self.a, self.other_p0), ["p1", "p2"],
                          left_out=2)

    def test_stores_with_other_headers_are_refused(self):
        self.assertFails(self.merge(self.a, self.half), 65, "dtype", self.half)
        self.assertEqual(os.listdir(self.directory), [])

    def test_damaged_or_missing_input_leaves_no_output(self):
        with open(self.a, "rb") as file:
            whole = file.read()
        with open(self.path("cut.h5"), "wb") as file:
            file.write(whole[: len(whole) // 2])
        self.assertFails(self.merge(self.b, self.path("cut.h5")), 65, "cut.h5")
        self.assertFails(self.merge(self.b, self.path("none.h5")), 66, "none.h5")
        self.assertEqual(os.listdir(self.directory), ["cut.h5"])

    def test_no_input_is_a_usage_error(self):
        self.assertFails(self.merge(), 64, "input")


if __name__ == "__main__":
    unittest.main()
