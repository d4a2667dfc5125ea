#pragma once
#include <string>

namespace weir {

/// `weir spc file.csv`: control charts of a CSV file, in the terminal, as SVG, HTML or JSON. argv[0] is the verb.
/// Exit codes: 0 done (signals are a finding, not a failure), 1 the file or its numbers cannot be charted, 2 misused.
int run_spc(int argc, char** argv);

/// The same with what it prints handed out, for tests. Still reads and writes the files it is told to.
int run_spc(int argc, char** argv, std::string& out, std::string& err);

}  // namespace weir
