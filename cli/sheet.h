/*
 * sheet.h - rows of structs as a table for people or as JSON, by way of libsmartcols.
 *
 * A list of columns says what is shown where, and how a cell is written. Control
 * characters and bytes that are no UTF-8 are escaped in either.
 */
#ifndef SKEWCTL_CLI_SHEET_H
#define SKEWCTL_CLI_SHEET_H

#include "cli/report.h"
#include "cli/text.h"

#include <libsmartcols/libsmartcols.h>

/* The longest cell is what was found, every byte of it escaped. */
#define CELL_SIZE TEXT_ESCAPED_SIZE(sizeof((struct skew_finding){0}.found))

/* Where a column is shown. */
#define IN_PRESENT (1U << REPORT_PRESENT)
#define IN_DONE    (1U << REPORT_DONE)
#define IN_TABLES  (IN_PRESENT | IN_DONE)
#define IN_JSON    (1U << 2)
/* From here on a list of columns has its own. */
#define IN_OWN(n) (1U << (3 + (n)))

/*
 * A column: libsmartcols makes the JSON key by lower-casing the name. write()
 * fills the cell of one row, CELL_SIZE bytes, or returns false for "not known".
 */
struct column {
    const char *name;
    unsigned where;
    int json_type;
    int flags;
    bool (*write)(const void *row, char *cell);
};

#define NUMBER  SCOLS_JSON_NUMBER
#define BOOLEAN SCOLS_JSON_BOOLEAN
#define STRING  SCOLS_JSON_STRING
#define RIGHT   SCOLS_FL_RIGHT
#define TRUNC   SCOLS_FL_TRUNC
#define WRAP    SCOLS_FL_WRAP

/* What a column's write() puts into the cell; they return true. */
__attribute__((format(printf, 2, 3))) bool cell_printf(char *cell, const char *format, ...);
bool cell_boolean(char *cell, bool value);
bool cell_duration(char *cell, int64_t nanoseconds);

/* What is to be printed: rows of row_size bytes, and the columns that fit `where`. */
struct sheet {
    const char *name;
    const struct column *columns;
    size_t column_count;
    const void *rows;
    size_t row_count;
    size_t row_size;
    unsigned where;
};

/* Says so on standard error and returns SKEW_FAILED if it cannot be printed. */
enum skew_code sheet_print(const struct sheet *sheet);

#endif
