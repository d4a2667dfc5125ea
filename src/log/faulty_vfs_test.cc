#include "log/faulty_vfs.h"

#include <sqlite3.h>

#include <csignal>

// The shim itself; who uses it are crash_test.cc and fault_test.cc.
namespace weir {
namespace {

std::atomic<FaultyVfs::Fault> fault{FaultyVfs::Fault::none};
std::atomic<FaultyVfs::Files> planned_files{FaultyVfs::Files::all};
std::atomic<std::uint64_t> counted{0}, failed{0}, first_failing{0}, failing{0};

sqlite3_vfs shim;
sqlite3_io_methods methods;

struct File {
    sqlite3_file base;
    sqlite3_file* real;
    bool is_database;
};
sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real; }

// SQLITE_OK, or what the operation fails with.
int pass(sqlite3_file* f, bool is_sync) {
    const FaultyVfs::Fault planned = fault.load();
    if (is_sync != (planned == FaultyVfs::Fault::sync_error) && planned != FaultyVfs::Fault::kill) return SQLITE_OK;
    if (planned_files == FaultyVfs::Files::database && !reinterpret_cast<File*>(f)->is_database) return SQLITE_OK;
    const std::uint64_t n = counted.fetch_add(1) + 1;
    if (planned == FaultyVfs::Fault::none || n < first_failing.load() || n >= first_failing.load() + failing.load()) return SQLITE_OK;
    failed.fetch_add(1);
    switch (planned) {
        case FaultyVfs::Fault::disk_full: return SQLITE_FULL;
        case FaultyVfs::Fault::write_error: return SQLITE_IOERR_WRITE;
        case FaultyVfs::Fault::sync_error: return SQLITE_IOERR_FSYNC;
        default: std::raise(SIGKILL); return SQLITE_IOERR;
    }
}

int x_close(sqlite3_file* f) { return real(f)->pMethods ? real(f)->pMethods->xClose(real(f)) : SQLITE_OK; }
int x_read(sqlite3_file* f, void* p, int n, sqlite3_int64 at) { return real(f)->pMethods->xRead(real(f), p, n, at); }
int x_write(sqlite3_file* f, const void* p, int n, sqlite3_int64 at) {
    if (const int code = pass(f, false)) {
        // A full disk takes a part of what it is given.
        if (n > 512) (void)real(f)->pMethods->xWrite(real(f), p, n / 2, at);
        return code;
    }
    return real(f)->pMethods->xWrite(real(f), p, n, at);
}
int x_truncate(sqlite3_file* f, sqlite3_int64 size) {
    if (const int code = pass(f, false)) return code;
    return real(f)->pMethods->xTruncate(real(f), size);
}
int x_sync(sqlite3_file* f, int flags) {
    if (const int code = pass(f, true)) return code;
    return real(f)->pMethods->xSync(real(f), flags);
}
int x_size(sqlite3_file* f, sqlite3_int64* size) { return real(f)->pMethods->xFileSize(real(f), size); }
int x_lock(sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); }
int x_unlock(sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); }
int x_check(sqlite3_file* f, int* out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); }
int x_control(sqlite3_file* f, int op, void* p) { return real(f)->pMethods->xFileControl(real(f), op, p); }
int x_sector(sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); }
int x_device(sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); }
int x_shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** out) { return real(f)->pMethods->xShmMap(real(f), page, size, extend, out); }
int x_shm_lock(sqlite3_file* f, int offset, int n, int flags) { return real(f)->pMethods->xShmLock(real(f), offset, n, flags); }
void x_shm_barrier(sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); }
int x_shm_unmap(sqlite3_file* f, int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); }

int x_open(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* f, int flags, int* out_flags) {
    auto* system = static_cast<sqlite3_vfs*>(shim.pAppData);
    auto* file = reinterpret_cast<File*>(f);
    file->real = reinterpret_cast<sqlite3_file*>(file + 1);
    file->is_database = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    const int code = system->xOpen(system, name, file->real, flags, out_flags);
    file->base.pMethods = file->real->pMethods ? &methods : nullptr;
    return code;
}
int x_delete(sqlite3_vfs*, const char* name, int sync) {
    auto* system = static_cast<sqlite3_vfs*>(shim.pAppData);
    return system->xDelete(system, name, sync);
}

}  // namespace

std::string FaultyVfs::name() {
    static const bool once = [] {
        sqlite3_vfs* system = sqlite3_vfs_find(nullptr);
        shim = *system;
        shim.szOsFile = static_cast<int>(sizeof(File)) + system->szOsFile;
        shim.zName = "weir-faulty";
        shim.pAppData = system;
        shim.pNext = nullptr;
        shim.xOpen = x_open;
        shim.xDelete = x_delete;
        methods = {};
        methods.iVersion = 2;
        methods.xClose = x_close;
        methods.xRead = x_read;
        methods.xWrite = x_write;
        methods.xTruncate = x_truncate;
        methods.xSync = x_sync;
        methods.xFileSize = x_size;
        methods.xLock = x_lock;
        methods.xUnlock = x_unlock;
        methods.xCheckReservedLock = x_check;
        methods.xFileControl = x_control;
        methods.xSectorSize = x_sector;
        methods.xDeviceCharacteristics = x_device;
        methods.xShmMap = x_shm_map;
        methods.xShmLock = x_shm_lock;
        methods.xShmBarrier = x_shm_barrier;
        methods.xShmUnmap = x_shm_unmap;
        return sqlite3_vfs_register(&shim, 0) == SQLITE_OK;
    }();
    return once ? "weir-faulty" : "";
}

void FaultyVfs::plan(Fault planned, std::uint64_t first, std::uint64_t count, Files files) {
    fault = Fault::none;
    planned_files = files;
    counted = 0;
    failed = 0;
    first_failing = first;
    failing = count;
    fault = planned;
}
std::uint64_t FaultyVfs::hits() { return failed; }

}  // namespace weir
