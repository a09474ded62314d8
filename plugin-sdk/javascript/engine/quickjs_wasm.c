/* QuickJS, as it has to be in WebAssembly. */

/* There are no jumps to addresses: with them, every instruction would go through one table more. This has them left
 * out. */
#define EMSCRIPTEN
#include "quickjs.c"

/* Lets the stack in memory grow by so many bytes; more than that is a RangeError in JavaScript. For WASI QuickJS has no
 * limit. */
void limit_stack(JSRuntime *runtime, size_t bytes) { runtime->stack_limit = runtime->stack_top - bytes; }
