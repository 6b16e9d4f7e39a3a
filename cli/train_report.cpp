#include "cli/train_report.h"

#include "cli/report/page.h"
#include "cli/report/training_page.h"
#include "formats/files/file_io.h"
#include "gist/train_log.h"

namespace gist {

void write_train_report(const TrainReport& report, const std::filesystem::path& output,
                        std::int64_t step, const std::string& state) {
  const TrainingMetrics metrics = parse_training_metrics(read_file(output / metrics_name));
  const TrainingRun run{output.string(), step, report.steps, state, report.clip};
  write_page(report.path, training_page(metrics, run, report.provenance));
}

}  // namespace gist
