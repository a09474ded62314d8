/* JSON that is read from where it is, and no further than to its end. */

#pragma once

#include "python.h"
#include <stdbool.h>

typedef struct {
    const char *at, *end;
    int depth;
} text;

/* What is nested deeper is left to Python. */
enum { NESTED_MAX = 32 };

void pass_space(text *json);
/* Whether this comes next, after space; it is passed then. */
bool pass(text *json, char expected);
bool pass_word(text *json, const char *word);
/* Passes a text, of which the opening quote was passed. Its content ends before the closing one, and is plain if
 * nothing is escaped. */
bool pass_text(text *json, bool *is_plain);
/* Passes any value: it is read by Python, or nobody asks for it. */
bool pass_value(text *json);
/* A text, of which the opening quote was passed. */
PyObject *read_text(text *json);
/* A number, if it is what is asked for. */
PyObject *read_number(text *json, bool as_integer, bool as_real);
