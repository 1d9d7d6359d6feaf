/*
 * html.h - words written into a page so that they stay words.
 */
#ifndef ORCHESTRATOR_HTML_H
#define ORCHESTRATOR_HTML_H

#include <stdio.h>

/* Text or a quoted attribute: & < > " ' become references; control characters
 * and bytes that are no UTF-8 become U+FFFD. */
void html_text(FILE *to, const char *words);
/* The same with printf's formatting; cut at 2 KiB. */
void html_printf(FILE *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
