#include "orchestrator/run_record.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <jansson.h>

#include "common/mem.h"
#include "common/whole_file.h"
#include "orchestrator/manifest.h"

enum { MAX_BYTES = 64 << 20, WHERE_BYTES = 160, VALUE_BYTES = 64 };

static const char anew[] = "`mspeckv run FILE` begins a new run";

/* ---- reading ---- */

static enum status bad_field(const struct run_record *r, const char *field, struct err *err)
{
    return err_set(err, ST_CORRUPT, "%s: field \"%s\" is absent or wrong; %s", r->path, field,
                   anew);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Equal texts; null stands for NULL. */
static bool is_text(const json_t *value, const char *text)
{
    return text == NULL ? json_is_null(value)
                        : json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static enum status check_program(const struct run_record *r, const char *version,
                                 const char *commit, struct err *err)
{
    const json_t *format = json_object_get(r->root, "manifest");
    const json_t *theirs = json_object_get(r->root, "version");
    const json_t *their_commit = json_object_get(r->root, "commit");
    const char *words = json_string_value(their_commit);

    if (!json_is_integer(format))
        return bad_field(r, "manifest", err);
    if (json_integer_value(format) != MANIFEST_FORMAT)
        return err_set(err, ST_VERSION, "%s: format %lld, and this program reads %d; %s", r->path,
                       (long long)json_integer_value(format), MANIFEST_FORMAT, anew);
    if (!json_is_string(theirs))
        return bad_field(r, "version", err);
    if (version == NULL || (is_text(theirs, version) && is_text(their_commit, commit)))
        return ST_OK;
    return err_set(err, ST_VERSION,
                   "%s: the run was begun by %.32s (%.50s) and this is %s (%s); %s", r->path,
                   json_string_value(theirs), words != NULL ? words : "no commit", version,
                   commit != NULL ? commit : "no commit", anew);
}

static enum status read_origin(struct run_record *r, struct err *err)
{
    const json_t *origin = json_object_get(r->root, "origin");
    const json_t *set = json_object_get(origin, "set");

    r->file = text_of(json_object_get(r->root, "experiment"), "file");
    r->directory = text_of(origin, "directory");
    r->text = text_of(origin, "text");
    if (r->file == NULL)
        return bad_field(r, "experiment.file", err);
    if (r->directory == NULL || r->directory[0] != '/')
        return bad_field(r, "origin.directory", err);
    if (r->text == NULL)
        return bad_field(r, "origin.text", err);
    if (!json_is_array(set))
        return bad_field(r, "origin.set", err);
    if (!json_is_array(json_object_get(r->root, "resumed")))
        return bad_field(r, "resumed", err);
    r->set = mem_array(json_array_size(set), sizeof *r->set);
    for (size_t i = 0; i < json_array_size(set); i++) {
        const char *word = json_string_value(json_array_get(set, i));
        if (word == NULL)
            return bad_field(r, "origin.set", err);
        r->set[r->n_sets++] = word;
    }
    return ST_OK;
}

/* A rate above 0; `may_lack`: null is 0. */
static bool read_rate(const json_t *value, bool may_lack, double *out)
{
    double x = json_number_value(value);

    if (json_is_null(value) && may_lack) {
        *out = 0;
        return true;
    }
    *out = x;
    return json_is_number(value) && isfinite(x) && x > 0;
}

static enum status read_frozen(struct run_record *r, struct err *err)
{
    const json_t *store = json_object_get(r->root, "store");
    const json_t *link = json_object_get(r->root, "link");

    r->is_started = json_is_object(store);
    if (!r->is_started)
        return json_is_null(store) ? ST_OK : bad_field(r, "store", err);
    if (!read_rate(json_object_get(r->root, "memory_gbps"), false, &r->memory_gbps))
        return bad_field(r, "memory_gbps", err);
    if (!read_rate(json_object_get(link, "gbps"), true, &r->link_gbps))
        return bad_field(r, "link.gbps", err);
    /* Runs written before there was such a link lack the field. */
    if (json_object_get(link, "device_gbps") != NULL &&
        !read_rate(json_object_get(link, "device_gbps"), true, &r->device_link_gbps))
        return bad_field(r, "link.device_gbps", err);
    return ST_OK;
}

static enum status load(struct run_record *r, const char *dir, struct err *err)
{
    char *bytes = NULL;
    size_t n = 0;
    struct stat info;
    json_error_t at;
    enum status st;

    if (stat(dir, &info) != 0)
        return err_set(err, ST_NOT_FOUND, "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return err_set(err, ST_NOT_FOUND, "%s is no directory; a run's would be right", dir);
    st = whole_file_read(&bytes, &n, r->path, MAX_BYTES, err);
    if (st == ST_NOT_FOUND)
        return err_set(err, ST_NOT_FOUND, "%s is no run directory: it has no manifest.json; %s",
                       dir, anew);
    if (st != ST_OK)
        return st;
    r->root = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &at);
    free(bytes);
    if (r->root == NULL)
        return err_set(err, ST_CORRUPT, "%s:%d:%d: %s; %s", r->path, at.line, at.column, at.text,
                       anew);
    return json_is_object((json_t *)r->root) ? ST_OK : bad_field(r, "manifest", err);
}

enum status run_record_read(struct run_record *out, const char *dir, const char *version,
                            const char *commit, struct err *err)
{
    enum status st;

    *out = (struct run_record){.path = mem_printf("%s/manifest.json", dir)};
    st = load(out, dir, err);
    if (st == ST_OK)
        st = check_program(out, version, commit, err);
    if (st == ST_OK)
        st = read_origin(out, err);
    return st == ST_OK ? read_frozen(out, err) : st;
}

void run_record_release(struct run_record *r)
{
    json_decref(r->root);
    free(r->path);
    free(r->set);
    *r = (struct run_record){.root = NULL};
}

/* ---- comparing ---- */

struct difference {
    char where[WHERE_BYTES]; /* "experiment.studies[0].fixed.gamma" */
    char was[VALUE_BYTES], is[VALUE_BYTES];
};

static void value_words(const json_t *value, char buf[VALUE_BYTES])
{
    char *text = value != NULL ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

    snprintf(buf, VALUE_BYTES, "%s", text != NULL ? text : "absent");
    free(text);
}

static bool find(struct difference *d, const json_t *was, const json_t *is);

/* Goes into one member; the place is longer for that time. */
static bool find_in(struct difference *d, const char *place, const json_t *was, const json_t *is)
{
    size_t n = strlen(d->where);

    snprintf(d->where + n, sizeof d->where - n, "%s", place);
    if (find(d, was, is))
        return true;
    d->where[n] = '\0';
    return false;
}

static bool find_in_object(struct difference *d, const json_t *was, const json_t *is)
{
    const char *key;
    json_t *value;
    char place[80];

    json_object_foreach((json_t *)(uintptr_t)was, key, value)
    {
        snprintf(place, sizeof place, ".%.70s", key);
        if (find_in(d, place, value, json_object_get(is, key)))
            return true;
    }
    return json_object_size(was) != json_object_size(is);
}

static bool find_in_array(struct difference *d, const json_t *was, const json_t *is)
{
    char place[32];

    for (size_t i = 0; i < json_array_size(was); i++) {
        snprintf(place, sizeof place, "[%zu]", i);
        if (find_in(d, place, json_array_get(was, i), json_array_get(is, i)))
            return true;
    }
    return json_array_size(was) != json_array_size(is);
}

/* True: they differ, and *d says where first. */
static bool find(struct difference *d, const json_t *was, const json_t *is)
{
    bool differs;

    if (json_is_object(was) && json_is_object(is))
        differs = find_in_object(d, was, is);
    else if (json_is_array(was) && json_is_array(is))
        differs = find_in_array(d, was, is);
    else
        differs = was == NULL || is == NULL || !json_equal(was, is);
    if (differs && d->was[0] == '\0') {
        value_words(was, d->was);
        value_words(is, d->is);
    }
    return differs;
}

struct compared {
    const char *object, *key; /* object NULL: of the file itself */
};

static enum status check_same(const struct run_record *r, const char *now,
                              const struct compared *same, size_t n_same, struct err *err)
{
    json_t *today = json_loads(now, 0, NULL);
    struct difference d = {.was = ""};
    bool differs = false;

    CHECK(today != NULL);
    for (size_t i = 0; i < n_same && !differs; i++) {
        const char *object = same[i].object;
        const json_t *was = object != NULL ? json_object_get(r->root, object) : r->root;
        const json_t *is = object != NULL ? json_object_get(today, object) : today;
        snprintf(d.where, sizeof d.where, "%s%s%s", object != NULL ? object : "",
                 object != NULL ? "." : "", same[i].key);
        differs = find(&d, json_object_get(was, same[i].key), json_object_get(is, same[i].key));
    }
    json_decref(today);
    if (!differs)
        return ST_OK;
    return err_set(err, ST_STALE, "%s: %s is %s there and %s now; %s", r->path, d.where, d.was,
                   d.is, anew);
}

enum status run_record_check_study(const struct run_record *r, const char *now, struct err *err)
{
    static const struct compared same[] = {{NULL, "target_fingerprint"},
                                           {NULL, "draft_fingerprint"},
                                           {NULL, "layers"},
                                           {NULL, "experiment"}};

    return check_same(r, now, same, sizeof same / sizeof same[0], err);
}

enum status run_record_check(const struct run_record *r, const char *now, struct err *err)
{
    static const struct compared same[] = {
        {"machine", "cpu_model"}, {"machine", "cpu_flags"}, {"machine", "cpus"}};
    enum status st = check_same(r, now, same, sizeof same / sizeof same[0], err);

    return st == ST_OK ? run_record_check_study(r, now, err) : st;
}

/* ---- writing ---- */

enum status run_record_note(struct run_record *r, int argc, char *const *argv, struct err *err)
{
    json_t *resumed = json_object_get(r->root, "resumed"), *command = json_array();
    char date[32], *text;
    time_t now = time(NULL);
    struct tm utc;
    enum status st;

    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    for (int i = 0; i < argc; i++) {
        json_t *word = json_string(argv[i]);
        json_array_append_new(command, word != NULL ? word : json_string("(not UTF-8)"));
    }
    CHECK(json_is_array(resumed)); /* run_record_read has seen to it */
    json_array_append_new(resumed, json_pack("{s:s, s:o}", "date", date, "command", command));
    text = json_dumps(r->root, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    CHECK(text != NULL);
    st = whole_file_write(r->path, text, strlen(text), err);
    free(text);
    return st;
}
