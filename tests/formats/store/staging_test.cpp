#include "formats/store/staging.h"

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <limits>
#include <random>
#include <thread>

#include "tests/formats/files/failing_sync.h"
#include "tests/formats/files/file_size_limit.h"
#include "tests/formats/store/store_samples.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::HasSubstr;
using Status = StagedRecord::Status;

StagedRecord record_of(const StoreRow& row, std::uint64_t number, Status status = Status::stored) {
  StagedRecord record;
  record.ordinal = row.ordinal;
  record.status = status;
  record.id = row.id;
  record.prompt_sha256 = row.prompt_sha256;
  record.row = number;
  record.prompt_tokens = row.prompt_tokens;
  record.gist_tokens = row.gist_tokens;
  record.position = row.position;
  return record;
}

struct Batch {
  std::vector<StagedRecord> records;
  std::vector<StagedRow> rows;
};

/// Rows [begin, begin + count), of 1 to 3 tokens.
Batch batch_of(std::uint64_t begin, std::uint64_t count,
               const StoreHeader& header = sample_header()) {
  Batch batch;
  for (std::uint64_t number = begin; number < begin + count; ++number) {
    const StoreRow row = sample_row(number, static_cast<std::uint32_t>(1 + number % 3));
    batch.records.push_back(record_of(row, number));
    batch.rows.push_back({row, sample_raw(header, row)});
  }
  return batch;
}

void commit(Staging& staging, const Batch& batch) {
  staging.commit(batch.records, batch.rows);
}

/// A process that holds the staging file until it is killed.
class Holder {
 public:
  explicit Holder(const std::filesystem::path& path) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe failed");
    process_ = ::fork();
    if (process_ == 0) {
      try {
        const Staging staging = Staging::open(path);
        if (::write(ends[1], "x", 1) == 1) ::pause();
      } catch (...) {
      }
      ::_exit(1);
    }
    ::close(ends[1]);
    char ready = 0;
    holds_ = ::read(ends[0], &ready, 1) == 1;
    ::close(ends[0]);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  bool holds() const { return holds_; }

 private:
  pid_t process_ = -1;
  bool holds_ = false;
};

class StagingTest : public ::testing::Test {
 protected:
  Staging create() { return Staging::create(path_, sample_header(), R"({"shard":"0/2"})"); }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      found.push_back(entry.path().filename());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  TemporaryDirectory directory_;
  std::filesystem::path store_ = directory_ / "out.h5";
  std::filesystem::path path_ = Staging::path_for(store_);
};

TEST_F(StagingTest, StandsBesideTheStore) {
  EXPECT_EQ(Staging::path_for("a/out.h5"), "a/out.h5.partial");
}

TEST_F(StagingTest, WhatWasCommittedIsThereAfterReopening) {
  {
    Staging staging = create();
    commit(staging, batch_of(0, 2));
    Batch second = batch_of(2, 1);
    StagedRecord rejected = record_of(sample_row(7, 1), 0, Status::rejected);
    rejected.reason = "line 8: no instruction";
    second.records.push_back(rejected);
    second.records.push_back(record_of(sample_row(1, 2), 1, Status::duplicate));
    commit(staging, second);
  }
  const Staging staging = Staging::open(path_);
  EXPECT_EQ(header_difference(staging.header(), sample_header(), true), "");
  EXPECT_EQ(staging.header().creator, sample_header().creator);
  EXPECT_EQ(staging.settings(), R"({"shard":"0/2"})");
  EXPECT_EQ(staging.records(), 5u);
  EXPECT_EQ(staging.rows(), 3u);

  std::vector<StagedRecord> records;
  staging.for_each_record([&records](const StagedRecord& record) { records.push_back(record); });
  ASSERT_EQ(records.size(), 5u);
  EXPECT_EQ(records[2].id, "prompt-2");
  EXPECT_EQ(records[2].position, 12u);
  EXPECT_EQ(records[2].prompt_sha256, sample_row(2, 1).prompt_sha256);
  EXPECT_EQ(records[3].status, Status::rejected);
  EXPECT_EQ(records[3].reason, "line 8: no instruction");
  EXPECT_EQ(records[4].status, Status::duplicate);
  EXPECT_EQ(records[4].row, 1u);

  std::uint64_t number = 0;
  staging.for_each_row([&number](const StagedRow& staged) {
    const StoreRow row = sample_row(number, static_cast<std::uint32_t>(1 + number % 3));
    EXPECT_EQ(staged.row.id, row.id);
    EXPECT_EQ(staged.row.gist_tokens, row.gist_tokens);
    EXPECT_EQ(staged.activations.key, sample_raw(sample_header(), row).key);
    EXPECT_EQ(staged.activations.hidden, sample_raw(sample_header(), row).hidden);
    ++number;
  });
  EXPECT_EQ(number, 3u);
}

TEST_F(StagingTest, KeepsWhatACheckFoundToTheLastBit) {
  const double infinite = std::numeric_limits<double>::infinity();
  {
    Staging staging = create();
    Batch batch = batch_of(0, 3);
    batch.records[0].checked = {0.1, 7, 6};
    batch.records[2].checked = {infinite, 1, 0};
    commit(staging, batch);
  }
  std::vector<std::optional<Fidelity>> checked;
  Staging::open(path_).for_each_record(
      [&checked](const StagedRecord& record) { checked.push_back(record.checked); });
  ASSERT_EQ(checked.size(), 3u);
  ASSERT_TRUE(checked[0].has_value());
  EXPECT_EQ(checked[0]->divergence, 0.1);
  EXPECT_EQ(checked[0]->labels, 7);
  EXPECT_EQ(checked[0]->agreements, 6);
  EXPECT_FALSE(checked[1].has_value());
  ASSERT_TRUE(checked[2].has_value());
  EXPECT_EQ(checked[2]->divergence, infinite);
}

TEST_F(StagingTest, FindsStoredRecordsByTheirId) {
  Staging staging = create();
  Batch batch = batch_of(0, 2);
  batch.records.push_back(record_of(sample_row(9, 1), 0, Status::rejected));
  commit(staging, batch);
  ASSERT_TRUE(staging.find_id("prompt-1").has_value());
  EXPECT_EQ(staging.find_id("prompt-1")->row, 1u);
  EXPECT_EQ(staging.find_id("prompt-9"), std::nullopt);
}

TEST_F(StagingTest, PublishGivesTheStoreOfItsRowsAndLeavesNothingElse) {
  Staging staging = create();
  commit(staging, batch_of(0, 2));
  commit(staging, batch_of(2, 3));
  staging.publish(store_);
  EXPECT_THAT(names(), ::testing::ElementsAre("out.h5"));

  write_store(
      directory_ / "direct.h5", sample_header(),
      {sample_row(0, 1), sample_row(1, 2), sample_row(2, 3), sample_row(3, 1), sample_row(4, 2)});
  EXPECT_EQ(content_of(store_), content_of(directory_ / "direct.h5"));
}

TEST_F(StagingTest, PublishesAgainOverAFinishedStore) {
  Staging staging = create();
  commit(staging, batch_of(0, 2));
  write_store(store_, sample_header(), {sample_row(0, 1), sample_row(1, 2)});
  const std::string before = content_of(store_);
  staging.publish(store_);
  EXPECT_EQ(content_of(store_), before);
  EXPECT_THAT(names(), ::testing::ElementsAre("out.h5"));
}

TEST_F(StagingTest, DiscardLeavesNothing) {
  Staging staging = create();
  commit(staging, batch_of(0, 2));
  staging.discard();
  EXPECT_TRUE(names().empty());
}

TEST_F(StagingTest, CreateRefusesAnUnfinishedRun) {
  { const Staging staging = create(); }
  expect_error(ErrorKind::cannot_create, "exists already", [&] { create(); });
  write_file(path_, "my notes");
  expect_error(ErrorKind::cannot_create, "exists already", [&] { create(); });
  EXPECT_EQ(content_of(path_), "my notes");
}

TEST_F(StagingTest, CreateRefusesADirectoryThatIsNotThere) {
  expect_error(ErrorKind::cannot_create, "/nowhere/out.partial",
               [] { Staging::create("/nowhere/out.partial", sample_header(), "{}"); });
}

TEST_F(StagingTest, AnEmptyFileOfAKilledRunIsNoRun) {
  write_file(path_, "");
  expect_error(ErrorKind::no_input, "holds nothing yet", [&] { Staging::open(path_); });
  EXPECT_EQ(create().records(), 0u);
}

TEST_F(StagingTest, OpenTellsWhatTheFileIsNot) {
  expect_error(ErrorKind::no_input, "no unfinished run", [&] { Staging::open(path_); });
  write_file(path_, std::string(4096, 'x'));
  expect_error(ErrorKind::data, "not a database", [&] { Staging::open(path_); });
  std::filesystem::remove(path_);
  {
    sqlite3* foreign = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &foreign), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(foreign, "CREATE TABLE t (a)", nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(foreign);
  }
  expect_error(ErrorKind::data, "no staging file of gist", [&] { Staging::open(path_); });
}

TEST_F(StagingTest, ATruncatedOrOverwrittenFileIsFound) {
  {
    Staging staging = create();
    commit(staging, batch_of(0, 100));
  }
  const std::string sound = content_of(path_);
  std::mt19937 random(3);
  for (int i = 0; i < 40; ++i) {
    write_file(path_, sound.substr(0, 1 + random() % (sound.size() - 1)));
    const auto error = error_of([&] { Staging::open(path_); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->kind(), ErrorKind::data) << error->what();
  }
  for (int i = 0; i < 60; ++i) {
    std::string content = sound;
    const std::size_t begin = random() % content.size();
    const std::size_t end = std::min<std::size_t>(content.size(), begin + 200);
    for (std::size_t at = begin; at < end; ++at) content[at] = static_cast<char>(random());
    write_file(path_, content);
    const auto error = error_of([&] {
      const Staging staging = Staging::open(path_);
      staging.for_each_record([](const StagedRecord&) {});
      staging.for_each_row([](const StagedRow&) {});
    });
    if (error) {
      EXPECT_EQ(error->kind(), ErrorKind::data) << error->what();
    }
  }
}

/// All that a run is resumed, finished and published with, as text of bytes.
std::string content_of_staging(const std::filesystem::path& path) {
  const Staging staging = Staging::open(path);
  std::string all = fmt::format("{} {}\n", staging.settings(), staging.header().creator);
  staging.for_each_record([&all](const StagedRecord& record) {
    all += fmt::format("{} {} {} {} {} {} {} {} {} {}\n", record.ordinal,
                       static_cast<int>(record.status), record.id, to_hex(record.prompt_sha256),
                       record.row, record.prompt_tokens, record.gist_tokens, record.position,
                       record.reason, record.checked ? record.checked->divergence : -1);
  });
  staging.for_each_row([&all](const StagedRow& staged) {
    all += fmt::format("{} {} {}\n", staged.row.id, staged.row.ordinal, staged.row.position);
    for (const auto* bytes :
         {&staged.activations.key, &staged.activations.value, &staged.activations.hidden}) {
      all.append(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    }
  });
  return all;
}

TEST_F(StagingTest, AFlippedByteIsFoundOrHarmless) {
  {
    Staging staging = create();
    Batch batch = batch_of(0, 4);
    batch.records[1].checked = {0.25, 7, 6};
    StagedRecord rejected = record_of(sample_row(7, 1), 0, Status::rejected);
    rejected.reason = "line 8: no instruction";
    batch.records.push_back(rejected);
    batch.records.push_back(record_of(sample_row(1, 2), 1, Status::duplicate));
    commit(staging, batch);
    commit(staging, batch_of(4, 2));
  }
  const std::string sound = content_of(path_);
  const std::string expected = content_of_staging(path_);
  int found = 0;
  // The file is mostly empty pages: of these a few, of what isn't zero a good part.
  int used = 0;
  for (std::size_t at = 0; at < sound.size(); ++at) {
    const bool chosen = sound[at] != 0 ? used++ % 23 == 0 : at % 1999 == 0;
    if (!chosen) continue;
    for (const char change : {'\x01', '\xff'}) {
      std::string content = sound;
      content[at] = static_cast<char>(content[at] ^ change);
      write_file(path_, content);
      std::string read;
      const auto error = error_of([&] { read = content_of_staging(path_); });
      if (error) {
        ++found;
        EXPECT_EQ(error->kind(), ErrorKind::data) << "byte " << at << ": " << error->what();
        EXPECT_THAT(error->what(), ::testing::Not(HasSubstr("\n")));
      } else {
        EXPECT_EQ(read, expected) << "byte " << at;
      }
    }
  }
  EXPECT_GT(found, 0);
}

/// Runs statements in the file as another program would.
void change(const std::filesystem::path& path, const char* statements) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, statements, nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(database);
  sqlite3_close(database);
}

TEST_F(StagingTest, ChangedValuesAreFoundByTheirChecksums) {
  const std::pair<const char*, const char*> changes[] = {
      {"UPDATE meta SET value = replace(value, 'llama', 'other') WHERE key = 'header'", "header"},
      {"UPDATE meta SET value = '{}' WHERE key = 'settings'", "settings"},
      {"DELETE FROM meta WHERE key = 'counts'", "no counts"},
      {"UPDATE records SET prompt_tokens = 999 WHERE number = 1", "record 1"},
      {"UPDATE records SET reason = 'x' WHERE number = 2", "record 2"},
      {"UPDATE records SET divergence = 0.5, labels = 1, agreements = 1 WHERE number = 0",
       "record 0"},
      {"DELETE FROM records WHERE number = 2; DELETE FROM rows WHERE row = 2; "
       "DELETE FROM tokens WHERE token >= 3",
       "2 of 3 records"},
      {"UPDATE rows SET record = 0 WHERE row = 1", "row 1"},
      {"UPDATE tokens SET hidden = zeroblob(24) WHERE token = 4", "activations of id \"prompt-2\""},
      {"PRAGMA writable_schema = ON; "
       "UPDATE sqlite_schema SET sql = replace(sql, 'reason', '`eason') WHERE name = 'records'",
       "unrecognized token"},
      {"CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM tokens; END", "its tables"},
  };
  for (const auto& [statements, part] : changes) {
    std::filesystem::remove(path_);
    {
      Staging staging = create();
      commit(staging, batch_of(0, 3));
    }
    change(path_, statements);
    expect_error(ErrorKind::data, part, [&] { Staging::open(path_); });
  }
}

TEST_F(StagingTest, AFileWithoutChecksumsSaysWhatToDo) {
  { const Staging staging = create(); }
  change(path_, "PRAGMA user_version = 2");
  expect_error(ErrorKind::data,
               "have no checksums: finish it with that gist (--finish), or start anew",
               [&] { Staging::open(path_); });
}

TEST_F(StagingTest, WhateverStandsThereCanBeDiscarded) {
  Staging::discard_any(path_);  // nothing
  const std::vector<std::function<void()>> states{
      [&] {
        Staging staging = create();
        commit(staging, batch_of(0, 3));
      },
      [&] {
        { const Staging staging = create(); }
        change(path_, "PRAGMA user_version = 2");
      },
      [&] {
        { const Staging staging = create(); }
        std::filesystem::resize_file(path_, 20000);
      },
      [&] { write_file(path_, "no database"); },
      [&] { write_file(path_, ""); },
      [&] { std::filesystem::create_symlink(directory_ / "nothing", path_); }};
  for (const auto& make : states) {
    make();
    EXPECT_THAT(names(), ::testing::ElementsAre("out.h5.partial"));
    Staging::discard_any(path_);
    EXPECT_THAT(names(), ::testing::ElementsAre());
  }
}

TEST_F(StagingTest, NothingIsStagedWhereOnlyTheLastSyncFailed) {
  Staging staging = create();
  commit(staging, batch_of(0, 2));
  {
    const FailingDirectorySync failing(1);  // after that of the published name
    expect_error(ErrorKind::io, directory_.path().string(), [&] { staging.publish(store_); });
    EXPECT_EQ(failing.failed(), 1);
  }
  EXPECT_EQ(staging.records(), 0u);
  EXPECT_EQ(staging.rows(), 0u);
  staging.discard();
  EXPECT_THAT(names(), ::testing::ElementsAre("out.h5"));
  EXPECT_EQ(GistStore(store_).rows(), 2u);
}

TEST_F(StagingTest, IsOpenInOneProcessAtATime) {
  { const Staging staging = create(); }
  {
    const Holder first(path_);
    ASSERT_TRUE(first.holds());
    expect_error(ErrorKind::busy, path_.string(), [&] { Staging::open(path_); });
    expect_error(ErrorKind::busy, path_.string(), [&] { create(); });
    expect_error(ErrorKind::busy, path_.string(), [&] { Staging::discard_any(path_); });
  }
  const Holder second(path_);  // after the first was killed
  ASSERT_TRUE(second.holds());
  expect_error(ErrorKind::busy, path_.string(), [&] { Staging::open(path_); });
}

TEST_F(StagingTest, ASecondTryOfTheSameProcessDoesNotLoseTheLock) {
  const Staging staging = create();
  expect_error(ErrorKind::busy, path_.string(), [&] { Staging::open(path_); });
  const Holder other(path_);
  EXPECT_FALSE(other.holds());
}

TEST_F(StagingTest, NothingOfAFailedBatchIsKept) {
  Staging staging = create();
  commit(staging, batch_of(0, 2));
  StoreHeader wide = sample_header();
  wide.key_dim = 50000;
  {
    const FileSizeLimit limit(std::filesystem::file_size(path_) + 100000);
    expect_error(ErrorKind::io, path_.string(), [&] { commit(staging, batch_of(2, 3, wide)); });
  }
  EXPECT_EQ(staging.records(), 2u);
  commit(staging, batch_of(2, 1));
  EXPECT_EQ(staging.rows(), 3u);
  staging.publish(store_);
  EXPECT_THAT(ids_of(GistStore(store_)),
              ::testing::ElementsAre("prompt-0", "prompt-1", "prompt-2"));
}

TEST_F(StagingTest, ABatchThatContradictsItselfIsABug) {
  Staging staging = create();
  Batch batch = batch_of(0, 2);
  batch.rows.pop_back();
  expect_error(ErrorKind::internal, "prompt-1", [&] { commit(staging, batch); });
  EXPECT_EQ(staging.records(), 0u);
}

constexpr std::uint64_t batch_rows = 5;

/// Commits batches until it is killed; a byte down the pipe after each, as a receipt would be.
[[noreturn]] void commit_for_ever(const std::filesystem::path& path, int receipts) {
  try {
    Staging staging = Staging::open(path);
    for (std::uint64_t begin = staging.rows();; begin += batch_rows) {
      commit(staging, batch_of(begin, batch_rows));
      if (::write(receipts, "x", 1) != 1) break;
    }
  } catch (...) {
  }
  ::_exit(1);
}

TEST_F(StagingTest, KilledAtAnyMomentItHoldsWholeBatchesAndAllReceiptedOnes) {
  { const Staging staging = create(); }
  std::mt19937 random(11);
  std::uint64_t receipted = 0;
  for (int kill = 0; kill < 20; ++kill) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      commit_for_ever(path_, ends[1]);
    }
    ::close(ends[1]);
    char receipt = 0;
    if (kill == 0 && ::read(ends[0], &receipt, 1) == 1) receipted += batch_rows;
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(ends[0], &receipt, 1) == 1) receipted += batch_rows;
    ::close(ends[0]);

    const Staging staging = Staging::open(path_);
    EXPECT_EQ(staging.rows() % batch_rows, 0u);
    EXPECT_GE(staging.rows(), receipted);
    EXPECT_LE(staging.rows(), receipted + batch_rows);
    std::uint64_t number = 0;
    staging.for_each_row([&number](const StagedRow& staged) {
      EXPECT_EQ(staged.activations.value, sample_raw(sample_header(), staged.row).value);
      EXPECT_EQ(staged.row.id, "prompt-" + std::to_string(number++));
    });
    EXPECT_EQ(number, staging.rows());
    receipted = staging.rows();
  }
  EXPECT_GT(receipted, 0u);
}

}  // namespace
}  // namespace gist
