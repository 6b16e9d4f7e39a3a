// A report: one HTML file that needs no other, and no network. It is readable without its script,
// which sorts and filters; a content security policy lets nothing run but that script.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cli/report/html.h"
#include "cli/report/provenance.h"

namespace gist {

struct PageSection {
  std::string id;       // of the element, and of links to it
  std::string heading;  // of the section, and in the list of sections
  Html body;
};

struct Page {
  std::string title;
  Html lead;  // a paragraph below the title; may be empty
  std::vector<PageSection> sections;
  Html headline = {};  // below the lead, before the list of sections: what matters most
};

/// The file. `version` is that of the program: "gist 0.1.0".
std::string page_html(const Page& page, const std::string& version);

/// A table with a caption, which a screen reader says first, in a box that scrolls sideways where
/// the screen is too narrow; on a phone each row is a list of its cells. Its headings sort it where
/// it is `sortable`. `columns` and `rows` are the cells, as `heading_cell` and the like make them.
struct PageTable {
  std::string id;
  std::string caption;
  bool caption_is_shown = true;
  bool sortable = false;
  std::vector<Html> columns = {};
  std::vector<Html> rows = {};  // <tr>...</tr>
};
Html table_html(const PageTable& table);

/// The head of a column. `numeric` ones are aligned to the right.
Html column_heading(std::string_view text, bool numeric);
/// The head of a row.
Html row_heading(const Html& content);
/// `classes` beside that of numbers: "" for none.
Html cell(const Html& content);
Html number_cell(const Html& content);

/// Names and values, one below the other.
Html facts_html(const std::vector<Fact>& facts);
/// The section that says where a report comes from.
PageSection provenance_section(const Provenance& provenance);

/// A figure that stands out: "0.1536", "held-out loss at step 900".
struct KeyFigure {
  Html value;
  std::string name;
};
Html key_figures(const std::vector<KeyFigure>& figures);

/// A file in the page, which a link saves: nothing is loaded for it. `name` is the file's.
struct PageFile {
  std::string name;
  std::string kind;  // "application/json"
  std::string content;
};
/// The paragraph that offers files.
Html files_html(const std::vector<PageFile>& files);

/// Charts side by side: as many as the screen has room for, or larger and two at most.
Html chart_row(const std::vector<Html>& charts, bool in_pairs = false);

/// A control lets people change which items of a list they see; it is shown where the script runs.
/// `list` is the id of the list, whose items have the attribute data-item, and one for each
/// control: data-NAME.
struct Control {
  enum class Kind : std::uint8_t {
    filter,  // items whose data-NAME is the choice's value
    order,   // by the number in data-VALUE, from the greatest on where VALUE begins with "-"
    words,   // items whose text holds what is typed
  } kind = Kind::filter;
  std::string name;
  std::string label;
  struct Choice {
    std::string value, label;
  };
  std::vector<Choice> choices = {};  // the first is chosen; of a filter, "" lets all through
};
Html controls_html(const std::string& list, const std::vector<Control>& controls);

/// Throws Error(cannot_create) where write_page would: to know it before the work is done.
void check_page(const std::filesystem::path& path);
/// Writes the page, whole or not at all. A report of gist is replaced; throws Error(cannot_create)
/// where anything else stands under its name, or it can't be written there.
void write_page(const std::filesystem::path& path, const std::string& page);

}  // namespace gist
