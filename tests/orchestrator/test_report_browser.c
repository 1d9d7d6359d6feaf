/*
 * The report in a real browser: Chromium lays it out at a phone's width and a
 * desk's, dark and light, and says what it found. Skipped where it is absent.
 */
#include "tests/orchestrator/report_fixture.h"

#include <jansson.h>

enum { PHONE = 360, DESK = 1200, MAX_OUTPUT = 1 << 24 };

/* Lays the page out in a frame and writes what it sees between two marks.
 * `contrast` is the smallest of any text against what lies behind it (WCAG 2.1,
 * 4.5 is enough), `worst` that text. */
static const char probe[] =
    "<script>\n"
    "function shown(c){const n=(c.match(/[\\d.]+/g)||[]).map(Number);"
    "return c.startsWith('rgb')&&!(n.length==4&&n[3]==0)?n:null}\n"
    "function light(n){const l=n.slice(0,3).map(v=>{v/=255;"
    "return v<=.03928?v/12.92:((v+.055)/1.055)**2.4});"
    "return .2126*l[0]+.7152*l[1]+.0722*l[2]}\n"
    "function behind(w,e){for(;e;e=e.parentElement){"
    "const c=shown(w.getComputedStyle(e).backgroundColor);if(c)return c}return [255,255,255]}\n"
    "function look(){const f=document.getElementById('f'),w=f.contentWindow,d=f.contentDocument;\n"
    "let least=99,worst='';\n"
    "for(const e of d.body.querySelectorAll('*')){\n"
    "if(![...e.childNodes].some(n=>n.nodeType==3&&n.data.trim()))continue;\n"
    "if(!e.getClientRects().length)continue;\n"
    "const s=w.getComputedStyle(e),c=shown(e.namespaceURI.endsWith('svg')?s.fill:s.color);\n"
    "if(!c)continue;\n"
    "const a=light(c),b=light(behind(w,e)),k=(Math.max(a,b)+.05)/(Math.min(a,b)+.05);\n"
    "if(k<least){least=k;worst=e.tagName+' '+e.textContent.slice(0,30)}}\n"
    "const text=[...d.querySelectorAll('svg "
    "text')].filter(e=>e.textContent.trim()).map(e=>e.getBoundingClientRect().height);\n"
    "const seen={width:d.documentElement.scrollWidth,frame:w.innerWidth,"
    "dark:w.matchMedia('(prefers-color-scheme:dark)').matches,"
    "tables:d.querySelectorAll('table').length,cells:d.querySelectorAll('tbody tr').length,"
    "figures:d.querySelectorAll('figure svg').length,"
    "scripts:d.scripts.length,loads:w.performance.getEntriesByType('resource').length,"
    "text:text.length?Math.min(...text):0,contrast:least,worst:worst.replace(/[^ "
    "-~]|[<>&\"]/g,'?')};\n"
    "document.title='';document.body.textContent='SEEN'+JSON.stringify(seen)+'END'}\n"
    "</script>\n";

static void put_attribute(FILE *to, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '&')
            fputs("&amp;", to);
        else if (*text == '"')
            fputs("&quot;", to);
        else
            fputc(*text, to);
    }
}

static void write_probe(const char *path, const char *page, int width)
{
    FILE *to = fopen(path, "w");

    assert_non_null(to);
    fprintf(to, "<!doctype html><html><head><meta charset=\"utf-8\">%s</head><body>\n", probe);
    fprintf(to,
            "<iframe id=\"f\" width=\"%d\" height=\"800\" style=\"border:0\" onload=\"look()\" ",
            width);
    fputs("srcdoc=\"", to);
    put_attribute(to, page);
    fputs("\"></iframe></body></html>\n", to);
    assert_int_equal(fclose(to), 0);
}

/* What the browser saw, and *console: what it said of scripts. The caller owns both. */
static json_t *look_at(const char *page, int width, bool is_dark, char **console)
{
    char dir[] = "/tmp/mspeckv-browser-XXXXXX", path[64], command[1024];
    char *out = calloc(1, MAX_OUTPUT);
    FILE *pipe;
    size_t n;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/probe.html", dir);
    write_probe(path, page, width);
    /* No name is resolved, so that not even the browser itself goes to a network. */
    snprintf(command, sizeof command,
             "timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage "
             "--user-data-dir=%s --host-resolver-rules='MAP * ~NOTFOUND' --enable-logging=stderr "
             "--blink-settings=preferredColorScheme=%d --window-size=1400,900 "
             "--virtual-time-budget=10000 --dump-dom file://%s 2>%s/said",
             dir, is_dark ? 0 : 1, path, dir);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    n = fread(out, 1, MAX_OUTPUT - 1, pipe);
    out[n] = '\0';
    if (pclose(pipe) != 0 || strstr(out, "SEEN{") == NULL || strstr(out, "}END") == NULL)
        fail_msg("chromium: %.300s", out);
    strstr(out, "}END")[1] = '\0';
    json_t *seen = json_loads(strstr(out, "SEEN{") + 4, 0, NULL);
    assert_non_null(seen);
    free(out);

    *console = calloc(1, MAX_OUTPUT);
    snprintf(command, sizeof command, "grep CONSOLE %s/said; rm -rf %s", dir, dir);
    pipe = popen(command, "r");
    n = fread(*console, 1, MAX_OUTPUT - 1, pipe);
    (*console)[n] = '\0';
    pclose(pipe);
    return seen;
}

static double number(const json_t *seen, const char *key)
{
    const json_t *value = json_object_get(seen, key);

    assert_true(json_is_number(value));
    return json_number_value(value);
}

static bool is_true(const json_t *seen, const char *key)
{
    return json_is_true(json_object_get(seen, key));
}

static void assert_readable(const char *text, int width, bool is_dark)
{
    char *console;
    json_t *seen = look_at(text, width, is_dark, &console);

    assert_string_equal(console, "");
    assert_int_equal(number(seen, "frame"), width);
    assert_int_equal(is_true(seen, "dark"), is_dark);
    if (number(seen, "width") > width)
        fail_msg("the page is %g wide on %d", number(seen, "width"), width);
    assert_int_equal(number(seen, "tables"), 4);
    assert_true(number(seen, "cells") > 20);
    assert_int_equal(number(seen, "figures"), 2 * REPORT_CHARTS - 2);
    assert_int_equal(number(seen, "scripts"), 0);
    assert_int_equal(number(seen, "loads"), 0);
    if (number(seen, "contrast") < 4.5)
        fail_msg("contrast %.2f of '%s'%s", number(seen, "contrast"),
                 json_string_value(json_object_get(seen, "worst")), is_dark ? ", dark" : "");
    /* The smallest words of a figure; less than 8 nobody reads. */
    if (number(seen, "text") < 8)
        fail_msg("words of a figure are %.1f pixels high at width %d", number(seen, "text"), width);
    json_decref(seen);
    free(console);
}

static void the_page_is_readable_on_a_phone_and_a_desk_dark_and_light(void **state)
{
    struct report_fixture f;
    char *text;

    report_set_up(&f);
    report_draw(&f);
    text = report_text(&f);
    assert_readable(text, PHONE, false);
    assert_readable(text, PHONE, true);
    assert_readable(text, DESK, true);
    free(text);
    report_tear_down(&f);
}

/* The probe would see it. */
static void a_page_that_breaks_every_rule_is_seen_to(void **state)
{
    static const char page[] =
        "<!doctype html><html><head><style>:root{color-scheme:light "
        "dark;background:#111}</style></head><body>"
        "<div style=\"width:900px\">wide</div><p style=\"color:#777;background:#888\">faint</p>"
        "<img src=\"http://example.invalid/a.png\"><table><tr><td>1</td></tr></table>"
        "<script>no_such_function()</script></body></html>";
    char *console;
    json_t *seen = look_at(page, PHONE, true, &console);

    assert_true(number(seen, "width") >= 900);
    assert_true(number(seen, "contrast") < 2);
    assert_string_equal(json_string_value(json_object_get(seen, "worst")), "P faint");
    assert_int_equal(number(seen, "loads"), 1);
    assert_int_equal(number(seen, "scripts"), 1);
    assert_int_equal(number(seen, "figures"), 0);
    assert_non_null(strstr(console, "no_such_function"));
    json_decref(seen);
    free(console);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_readable_on_a_phone_and_a_desk_dark_and_light),
        cmocka_unit_test(a_page_that_breaks_every_rule_is_seen_to),
    };

    if (system("type chromium >/dev/null 2>&1") != 0)
        test_skip_program("there is no browser (Debian's package chromium)");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
