#pragma once

namespace weir {

// The verbs, each in the file of its name. argv[0] is the verb; the answer is an ExitCode.
int run_check(int argc, char** argv);
int run_collect(int argc, char** argv);
int run_compare(int argc, char** argv);
int run_consume(int argc, char** argv);
int run_export(int argc, char** argv);
int run_function(int argc, char** argv);
int run_import(int argc, char** argv);
int run_publish(int argc, char** argv);
int run_replay(int argc, char** argv);
int run_serve(int argc, char** argv);
int run_simulate(int argc, char** argv);
int run_tail(int argc, char** argv);
int run_token(int argc, char** argv);
int run_verify(int argc, char** argv);

}  // namespace weir
