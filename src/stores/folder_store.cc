#include "stores/folder_store.h"

#include <algorithm>

namespace weir {
namespace {

constexpr std::size_t document_bytes_max = 256u << 20;
constexpr int tries_max = 20;

std::uint64_t fnv1a(std::string_view bytes) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
}

std::string beside(const std::string& path) {
    const auto slash = path.rfind('/');
    return path.substr(0, slash + 1) + "." + path.substr(slash + 1) + ".weir";
}

}  // namespace

FolderStore::FolderStore(std::string folder, Filesystem filesystem, Fsync fsync)
    : folder_(std::move(folder)), files_(std::move(filesystem)), fsync_(fsync) {}

std::optional<ObjectVersion> FolderStore::known(const std::string& path, const std::string& bytes) const {
    if (const auto note = files_.read(beside(path), 1000); note.ok()) {
        const std::string hash = to_text(Epoch{fnv1a(bytes)});
        for (std::string_view rest = *note; !rest.empty();) {
            const std::string_view line = rest.substr(0, rest.find('\n'));
            rest.remove_prefix(std::min(rest.size(), line.size() + 1));
            const auto blank = line.find(' ', 17);
            if (line.size() < 18 || (blank != line.npos && line.substr(blank + 1) != hash)) continue;
            if (const auto epoch = epoch_from_text(line.substr(0, 16))) return ObjectVersion{*epoch, std::strtoull(std::string(line.substr(17)).c_str(), nullptr, 10)};
        }
    }
    return version_in_document(bytes);
}

Result<bool> FolderStore::write(const std::string& path, const std::optional<std::string>& there, const ObjectWrite& object, const std::string& bytes) {
    const std::string folder = path.substr(0, path.rfind('/'));
    if (!made_.contains(folder)) {
        WEIR_CHECK_OK(files_.create_folders(folder, fsync_));
        WEIR_CHECK_OK(files_.sweep_temporaries(folder));
        if (made_.size() >= 1000) made_.clear();
        made_.insert(folder);
    }
    if (object.self_describing) return files_.replace_atomically(path, there, bytes, fsync_);
    // The note first, with what it says of the old bytes: whichever of the two a crash or a faster process leaves there, it is known.
    std::string note = note_of({object.epoch, object.revision}, bytes);
    const auto before = there ? known(path, *there) : std::nullopt;
    if (before) note += note_of(*before, *there);
    WEIR_CHECK_OK(files_.write_atomically(beside(path), note, Fsync::no));
    WEIR_TRY(const bool done, files_.replace_atomically(path, there, bytes, fsync_));
    if (done && before) WEIR_CHECK_OK(tidy(path, object));
    return done;
}

Result<void> FolderStore::tidy(const std::string& path, const ObjectWrite& object) {
    if (object.self_describing) return ok();
    const auto there = known(path, object.bytes);
    if (!there || there->epoch != object.epoch) return ok();
    const std::string wanted = note_of(*there, object.bytes);
    const auto note = files_.read(beside(path), 1000);
    if (note.ok() && *note == wanted) return ok();
    return files_.write_atomically(beside(path), wanted, Fsync::no);
}

std::string FolderStore::note_of(const ObjectVersion& known, const std::string& bytes) {
    return to_text(known.epoch) + " " + std::to_string(known.revision) + " " + to_text(Epoch{fnv1a(bytes)}) + "\n";
}

Result<std::optional<std::string>> FolderStore::read(const std::string& path) const {
    auto bytes = files_.read(path, document_bytes_max);
    if (bytes.ok()) return std::optional(*std::move(bytes));
    if (bytes.error().code == "not_found") return std::optional<std::string>();
    return std::move(bytes).error();
}

Result<ObjectStore::Put> FolderStore::put(const ObjectWrite& object) {
    std::string path = folder_ + "/" + object.name;
    Put outcome = Put::written;
    // Another weir may write to the same folder: who was slower looks again.
    for (int tries = 0; tries < tries_max; ++tries) {
        WEIR_TRY(const auto before, read(path));
        const std::string* bytes = &object.bytes;
        std::optional<std::string> joined;
        if (before) {
            if (*before == object.bytes) {
                WEIR_CHECK_OK(tidy(path, object));
                return Put::unchanged;
            }
            const auto there = known(path, *before);
            if (there && there->epoch == object.epoch) {
                if (there->revision >= object.revision) return Put::older;
            } else if (outcome != Put::sibling) {
                if (object.merge) joined = object.merge(*before);
                if (joined && *joined == *before) return Put::unchanged;
                if (joined) {
                    bytes = &*joined;
                } else {
                    path = folder_ + "/" + sibling_name(object.name, object.epoch);
                    outcome = Put::sibling;
                    continue;
                }
            }
        }
        WEIR_TRY(const bool done, write(path, before, object, *bytes));
        if (done) return joined ? Put::merged : outcome;
    }
    return Error{"io_error", path + ": another process writes it all the time; is the folder of another weir configured here?"};
}

Result<void> FolderStore::remove(const std::string& name, Epoch epoch) {
    const auto remove_file = [&](const std::string& path) -> Result<void> {
        WEIR_CHECK_OK(files_.remove(path));
        return files_.remove(beside(path));
    };
    const std::string path = folder_ + "/" + name;
    // Who was killed while it wrote this name left a temporary file, in a folder that may not be written to any more.
    if (auto swept = files_.sweep_temporaries(path.substr(0, path.rfind('/'))); !swept.ok() && swept.error().code != "not_found") return swept;
    const auto bytes = files_.read(path, document_bytes_max);
    if (!bytes.ok() && bytes.error().code != "not_found") return bytes.error();
    if (bytes.ok())
        if (const auto there = known(path, *bytes); there && there->epoch == epoch) WEIR_CHECK_OK(remove_file(path));
    return remove_file(folder_ + "/" + sibling_name(name, epoch));
}

}  // namespace weir
