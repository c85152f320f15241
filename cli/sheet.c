/*
 * sheet.c - see sheet.h. libsmartcols escapes control characters in tables and in
 * JSON; bytes that are no UTF-8 are escaped here, for in JSON it would let them through.
 */
#include "cli/sheet.h"

#include "cli/message.h"
#include "engine/duration.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool cell_printf(char *cell, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    vsnprintf(cell, CELL_SIZE, format, values);
    va_end(values);
    return true;
}

bool cell_boolean(char *cell, bool value)
{
    /* libsmartcols takes every text for true that does not begin with 0, N or n. */
    return cell_printf(cell, "%d", value);
}

bool cell_duration(char *cell, int64_t nanoseconds)
{
    duration_format(nanoseconds, cell);
    return true;
}

static int sheet_fill(const struct sheet *sheet, struct libscols_table *table)
{
    bool json = sheet->where & IN_JSON;
    const char *row = sheet->rows;

    for (size_t r = 0; r < sheet->row_count; r++, row += sheet->row_size) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        size_t cells = 0;

        if (!line)
            return -ENOMEM;
        for (size_t c = 0; c < sheet->column_count; c++) {
            char cell[CELL_SIZE];
            char escaped[TEXT_ESCAPED_SIZE(CELL_SIZE)];
            const char *shown = json ? NULL : "-";

            if (!(sheet->columns[c].where & sheet->where))
                continue;
            if (sheet->columns[c].write(row, cell))
                shown = json ? text_escape(cell, false, escaped, sizeof escaped) : cell;
            int result = scols_line_set_data(line, cells++, shown);
            if (result != 0)
                return result;
        }
    }
    return 0;
}

static int sheet_print_into(const struct sheet *sheet, struct libscols_table *table)
{
    int result = scols_table_enable_json(table, (sheet->where & IN_JSON) != 0);

    if (result == 0)
        result = scols_table_set_name(table, sheet->name);
    for (size_t c = 0; c < sheet->column_count && result == 0; c++) {
        const struct column *column = &sheet->columns[c];
        struct libscols_column *made;

        if (!(column->where & sheet->where))
            continue;
        made = scols_table_new_column(table, column->name, 0, column->flags);
        result = made ? scols_column_set_json_type(made, column->json_type) : -ENOMEM;
    }
    if (result == 0)
        result = sheet_fill(sheet, table);
    if (result == 0)
        result = scols_print_table(table);
    return result;
}

enum skew_code sheet_print(const struct sheet *sheet)
{
    struct libscols_table *table = scols_new_table();
    int result = table ? sheet_print_into(sheet, table) : -ENOMEM;

    scols_unref_table(table);
    if (result == 0)
        return SKEW_OK;
    message_print("the result cannot be shown: %s; run skewctl list to see what is in place",
                  strerror(-result));
    return SKEW_FAILED;
}
