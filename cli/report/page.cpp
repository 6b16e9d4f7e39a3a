#include "cli/report/page.h"

#include <algorithm>
#include <array>
#include <string>

#include "cli/report/assets.h"
#include "formats/files/base64.h"
#include "formats/files/file_io.h"
#include "formats/files/sha256.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::string_view page_begin =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"generator\" content=\"gist ";

/// The hash of a script or style, as a content security policy names it.
std::string policy_hash(std::string_view content) {
  return "'sha256-" + base64(sha256(content)) + "'";
}

std::string policy() {
  return "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src " +
         policy_hash(page_style) + "; script-src " + policy_hash(page_script);
}

Html head(const Page& page, const std::string& version) {
  return Html{std::string(page_begin)} +
         html(
             "{0}\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{1}\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<meta name=\"color-scheme\" content=\"light dark\">\n"
             "<meta name=\"referrer\" content=\"no-referrer\">\n"
             "<link rel=\"icon\" "
             "href=\"data:,\">\n<title>{2}</title>\n<style>{3}</style>\n</head>\n",
             version.starts_with("gist ") ? version.substr(5) : version, Html{policy()}, page.title,
             Html{std::string(page_style)});
}

Html sections_list(const Page& page) {
  Html items;
  for (const PageSection& section : page.sections) {
    items += html("<li><a href=\"#{}\">{}</a></li>", section.id, section.heading);
  }
  return html("<nav aria-label=\"Sections\"><ul>{}</ul></nav>\n", items);
}

Html body(const Page& page, const std::string& version) {
  Html sections;
  for (const PageSection& section : page.sections) {
    sections += html(
        "<section id=\"{0}\" aria-labelledby=\"{0}-heading\">\n<h2 "
        "id=\"{0}-heading\">{1}</h2>\n{2}</section>\n",
        section.id, section.heading, section.body);
  }
  const Html lead = page.lead.empty() ? Html{} : html("<p class=\"lead\">{}</p>\n", page.lead);
  return html(
      "<body>\n<a class=\"skip\" href=\"#main\">Skip to the results</a>\n"
      "<header>\n<h1>{}</h1>\n{}{}{}</header>\n<main id=\"main\" tabindex=\"-1\">\n{}</main>\n"
      "<footer><p>Made by {}. The page is complete in itself: it loads nothing.</p></footer>\n"
      "<script>{}</script>\n</body>\n</html>\n",
      page.title, lead, page.headline, sections_list(page), sections, version,
      Html{std::string(page_script)});
}

}  // namespace

std::string page_html(const Page& page, const std::string& version) {
  return (head(page, version) + body(page, version)).code;
}

namespace {

/// The text of a piece of markup, as markup.
std::string without_tags(const Html& markup) {
  std::string text;
  bool in_tag = false;
  for (const char c : markup.code) {
    if (c == '<') in_tag = true;
    if (!in_tag) text += c;
    if (c == '>') in_tag = false;
  }
  return text;
}

/// A row whose cells say in an attribute which column they stand in. (Texts have no "<td": there it
/// is escaped.)
Html labelled(const Html& row, const std::vector<std::string>& columns) {
  constexpr std::string_view cell_begin = "<td";
  std::string code;
  std::size_t from = 0, column = 1;
  for (std::size_t at = row.code.find(cell_begin); at != std::string::npos;
       at = row.code.find(cell_begin, from)) {
    code += row.code.substr(from, at - from) + std::string(cell_begin);
    if (column < columns.size()) code += " data-column=\"" + columns[column++] + "\"";
    from = at + cell_begin.size();
  }
  return {code + row.code.substr(from)};
}

}  // namespace

Html table_html(const PageTable& table) {
  Html columns, rows;
  std::vector<std::string> names;
  for (const Html& column : table.columns) {
    columns += column;
    names.push_back(without_tags(column));
  }
  for (const Html& row : table.rows) rows += labelled(row, names) + Html{"\n"};
  return html(
      "<div class=\"scroll\" role=\"region\" aria-labelledby=\"{0}-caption\" tabindex=\"0\">"
      "<table id=\"{0}\"{1}>\n<caption id=\"{0}-caption\"{2}><span>{3}</span></caption>\n"
      "<thead><tr>{4}</tr></thead>\n<tbody>\n{5}</tbody></table></div>\n",
      table.id, Html{table.sortable ? " data-sortable" : ""},
      Html{table.caption_is_shown ? "" : " class=\"unseen\""}, table.caption, columns, rows);
}

Html column_heading(std::string_view text, bool numeric) {
  return html("<th scope=\"col\"{}>{}</th>", Html{numeric ? " class=\"number\"" : ""}, text);
}

Html row_heading(const Html& content) {
  return html("<th scope=\"row\">{}</th>", content);
}

Html cell(const Html& content) {
  return html("<td>{}</td>", content);
}

Html number_cell(const Html& content) {
  return html("<td class=\"number\">{}</td>", content);
}

Html facts_html(const std::vector<Fact>& facts) {
  Html items;
  for (const Fact& fact : facts) {
    items += html("<div><dt>{}</dt><dd>{}</dd></div>\n", fact.name, fact.value);
  }
  return html("<dl class=\"facts\">\n{}</dl>\n", items);
}

PageSection provenance_section(const Provenance& provenance) {
  std::vector<Fact> facts{{"version", provenance.version},
                          {"made", provenance.created},
                          {"machine", provenance.machine}};
  std::erase_if(facts, [](const Fact& fact) { return fact.value.empty(); });
  Html body;
  if (!provenance.command.empty()) {
    body +=
        html("<pre class=\"command\" tabindex=\"0\"><code>{}</code></pre>\n", provenance.command);
  }
  body += facts_html(facts);
  if (!provenance.files.empty()) {
    body += Html{"<h3>What was read</h3>\n"} + facts_html(provenance.files);
  }
  if (!provenance.settings.empty()) {
    body += html("<details><summary>Settings</summary>\n{}</details>\n",
                 facts_html(provenance.settings));
  }
  return {"provenance", "Provenance", body};
}

Html key_figures(const std::vector<KeyFigure>& figures) {
  Html items;
  for (const KeyFigure& figure : figures) {
    items += html("<div><dt>{}</dt><dd>{}</dd></div>", figure.name, figure.value);
  }
  return html("<dl class=\"key-figures\">{}</dl>\n", items);
}

Html files_html(const std::vector<PageFile>& files) {
  Html links;
  for (const PageFile& file : files) {
    const std::string& content = file.content;
    std::vector<std::uint8_t> bytes(content.begin(), content.end());
    links +=
        html("{}<a download=\"{}\" href=\"data:{};base64,{}\">{}</a>",
             Html{links.empty() ? "" : ", "}, file.name, file.kind, Html{base64(bytes)}, file.name);
  }
  return html("<p>The numbers of this page as a file: {}</p>\n", links);
}

Html chart_row(const std::vector<Html>& charts, bool in_pairs) {
  Html all;
  for (const Html& chart : charts) all += chart;
  return html("<div class=\"{}\">\n{}</div>\n", Html{in_pairs ? "charts in-pairs" : "charts"}, all);
}

namespace {

Html choices_html(const Control& control) {
  Html choices;
  for (const Control::Choice& choice : control.choices) {
    choices += html("<option value=\"{}\">{}</option>", choice.value, choice.label);
  }
  return choices;
}

}  // namespace

Html controls_html(const std::string& list, const std::vector<Control>& controls) {
  constexpr std::array<const char*, 3> kinds{"filter", "order", "words"};
  Html fields;
  for (const Control& control : controls) {
    const std::string id = list + "-" + control.name;
    const char* kind = kinds.at(static_cast<std::size_t>(control.kind));
    const Html input =
        control.kind == Control::Kind::words
            ? html("<input id=\"{}\" type=\"search\" data-kind=\"{}\" autocomplete=\"off\">", id,
                   kind)
            : html("<select id=\"{}\" data-kind=\"{}\" data-name=\"{}\">{}</select>", id, kind,
                   control.name, choices_html(control));
    fields += html("<div><label for=\"{}\">{}</label>{}</div>\n", id, control.label, input);
  }
  return html(
      "<form class=\"controls\" data-list=\"{0}\" hidden>\n{1}<output "
      "aria-live=\"polite\"></output>\n</form>\n",
      list, fields);
}

void check_page(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  const bool is_ours =
      !std::filesystem::exists(status) || is_pipe_or_device(path) || is_empty_file(path) ||
      (std::filesystem::is_regular_file(status) && read_file(path).starts_with(page_begin));
  if (is_ours) return;
  fail(ErrorKind::cannot_create, "--report {}: it exists and is no report of gist", path.string());
}

void write_page(const std::filesystem::path& path, const std::string& page) {
  check_page(path);
  write_file_atomically(path, page);
}

}  // namespace gist
