#include "feeds/html_source.h"

#include <libxml/HTMLparser.h>
#include <libxml/xpath.h>

#include "event/json.h"

namespace weir {
namespace {

/// Puts `value` where the pointer says, in objects and (for the step `0`) arrays that are made on the way.
void put_at(Json& document, const std::vector<std::string>& steps, Json value) {
    if (steps.empty()) {
        document = std::move(value);
        return;
    }
    Json* at = &document;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (at->is_null()) *at = Json::object();
        if (!at->is_object()) return;
        if (!at->find(steps[i])) at->set(steps[i], Json());
        for (auto& member : at->members())
            if (member.first == steps[i]) at = &member.second;
    }
    *at = std::move(value);
}

std::vector<std::string> steps_of(const std::string& pointer) {
    auto parsed = JsonPointer::parse(pointer);
    return parsed.ok() ? parsed->steps() : std::vector<std::string>();
}

std::string without_separators(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto rest = text.substr(i);
        if (rest.starts_with("\xe2\x80\x99") || rest.starts_with("\xe2\x80\xaf") || rest.starts_with("\xe2\x80\x89")) {
            i += 2;  // ’, narrow no-break blank, thin blank
        } else if (rest.starts_with("\xc2\xa0")) {
            i += 1;  // no-break blank
        } else if (text[i] != '\'' && text[i] != ' ' && text[i] != '\t' && text[i] != '\n' && text[i] != '\r') {
            out += text[i];
        }
    }
    return out;
}

}  // namespace

Result<std::string> text_at(std::string_view page, const std::string& xpath) {
    struct Free {
        void operator()(xmlDoc* d) const { ::xmlFreeDoc(d); }
        void operator()(xmlXPathContext* c) const { ::xmlXPathFreeContext(c); }
        void operator()(xmlXPathObject* o) const { ::xmlXPathFreeObject(o); }
        void operator()(xmlChar* c) const { ::xmlFree(c); }
    };
    if (page.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return Error{"bad_page", "the page is too large"};
    const std::unique_ptr<xmlDoc, Free> document(::htmlReadMemory(page.data(), static_cast<int>(page.size()), nullptr, "UTF-8",
                                                                  HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET));
    if (!document) return Error{"bad_page", "the page is no HTML"};
    const std::unique_ptr<xmlXPathContext, Free> context(::xmlXPathNewContext(document.get()));
    if (!context) return Error{"bad_page", "no memory for the page"};
    // libxml2 prints what it thinks of an expression to stderr unless told not to.
    context->error = [](void*, xmlError*) {};
    const std::unique_ptr<xmlXPathObject, Free> found(::xmlXPathEvalExpression(reinterpret_cast<const xmlChar*>(xpath.c_str()), context.get()));
    if (!found) return Error{"bad_xpath", "\"" + xpath + "\" is no XPath expression"};
    std::unique_ptr<xmlChar, Free> text;
    if (found->type == XPATH_NODESET) {
        if (!found->nodesetval || found->nodesetval->nodeNr == 0) return Error{"element_missing", "the page has nothing at " + xpath};
        text.reset(::xmlNodeGetContent(found->nodesetval->nodeTab[0]));
    } else {
        text.reset(::xmlXPathCastToString(found.get()));
    }
    return text ? std::string(reinterpret_cast<const char*>(text.get())) : std::string();
}

std::string message_with_number(std::string_view raw, const DecodeOptions& decode) {
    const std::string text = without_separators(raw);
    Json item = Json::object();
    if (!decode.key.empty() && decode.keys.size() == 1) put_at(item, steps_of(decode.key.front()), Json::string(decode.keys.front()));
    const bool missing = text.empty() || text == "-" || text == "\xe2\x80\x93" || text == "\xe2\x80\x94";  // and the two longer dashes
    if (!missing && !decode.value.empty())
        put_at(item, steps_of(decode.value.front()), is_json_number(text) ? Json::number_from_text(text) : Json::string(text));
    Json message;
    put_at(message, steps_of(decode.items), std::move(item));
    return message.text();
}

HttpSource::Read html_reader(const SourceOptions& options, const DecodeOptions& decode) {
    return [xpath = options.xpath, decode](std::string page) -> Result<std::string> {
        WEIR_TRY(const auto text, text_at(page, xpath));
        return message_with_number(text, decode);
    };
}

}  // namespace weir
