/* Names, shapes and dtypes of a checkpoint against its config; tied matrices; biases. */
#include "model/weights.h"
#include "tests/model/tiny_checkpoint.h"

struct fixture {
    struct temp_dir dir;
    struct device *dev;
    struct tiny m;
};

static void set_up(struct fixture *f, bool tied, bool biases)
{
    struct device_options opt = {.n_threads = 1};
    struct err err = {{0}};

    memset(f, 0, sizeof *f);
    f->dir = temp_dir_make();
    f->m.seed = 11;
    f->m.tied = tied;
    f->m.attention_bias = f->m.mlp_bias = biases;
    tiny_make(&f->m);
    assert_int_equal(device_open(&f->dev, "cpu:0", &opt, &err), ST_OK);
}

static void tear_down(struct fixture *f)
{
    assert_int_equal(device_used(f->dev, DEVICE_WEIGHTS), 0);
    device_close(f->dev);
    tiny_release(&f->m);
    temp_dir_remove(&f->dir);
}

static enum status open_weights(struct fixture *f, struct weights *w, struct err *err)
{
    struct model_config cfg;

    tiny_write(&f->m, &f->dir);
    assert_int_equal(model_config_read(&cfg, f->dir.path, err), ST_OK);
    return weights_open(w, f->dev, &cfg, f->dir.path, NULL, err);
}

static void refuse(struct fixture *f, enum status wanted, const char *words, const char *more)
{
    struct weights w = {0};
    struct err err = {{0}};
    enum status st = open_weights(f, &w, &err);

    if (st != wanted || strstr(err.text, words) == NULL || strstr(err.text, more) == NULL)
        fail_msg("status %d: %s; wanted %d: %s, %s", (int)st, err.text, (int)wanted, words, more);
    assert_int_equal(device_used(f->dev, DEVICE_WEIGHTS), 0);
}

static float first_of(const struct weight *weight)
{
    float f;
    uint16_t h;

    memcpy(&f, weight->data, sizeof f);
    memcpy(&h, weight->data, sizeof h);
    if (weight->type == WEIGHT_F32)
        return f;
    return weight->type == WEIGHT_F16 ? half_from_f16(h) : half_from_bf16(h);
}

static void every_role_gets_its_tensor_and_bias(void **state)
{
    struct fixture f;
    struct weights w = {0};
    struct err err = {{0}};

    set_up(&f, false, true);
    if (open_weights(&f, &w, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_int_equal(w.size_bytes, device_used(f.dev, DEVICE_WEIGHTS));
    struct {
        const struct weight *weight;
        const char *name;
        int n_bias;
    } roles[] = {
        {&w.embed, "model.embed_tokens", 0},
        {&w.head, "lm_head", 0},
        {&w.norm, "model.norm", 0},
        {&w.layer[1].input_norm, "model.layers.1.input_layernorm", 0},
        {&w.layer[1].q, "model.layers.1.self_attn.q_proj", 32},
        {&w.layer[1].k, "model.layers.1.self_attn.k_proj", 16},
        {&w.layer[1].v, "model.layers.1.self_attn.v_proj", 16},
        {&w.layer[1].o, "model.layers.1.self_attn.o_proj", TINY_HIDDEN},
        {&w.layer[1].post_norm, "model.layers.1.post_attention_layernorm", 0},
        {&w.layer[1].gate, "model.layers.1.mlp.gate_proj", TINY_FF},
        {&w.layer[1].up, "model.layers.1.mlp.up_proj", TINY_FF},
        {&w.layer[1].down, "model.layers.1.mlp.down_proj", TINY_HIDDEN},
        {&w.layer[0].down, "model.layers.0.mlp.down_proj", TINY_HIDDEN},
    };
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s.weight", roles[i].name);
        assert_true(first_of(roles[i].weight) == tiny_find(&f.m, name)->value[0]);
        snprintf(name, sizeof name, "%s.bias", roles[i].name);
        assert_int_equal(roles[i].weight->bias != NULL, roles[i].n_bias > 0);
        for (int j = 0; j < roles[i].n_bias; j++)
            assert_true(roles[i].weight->bias[j] == tiny_find(&f.m, name)->value[j]);
    }
    weights_release(&w);
    tear_down(&f);
}

static void tied_matrices_are_found_whichever_is_stored(void **state)
{
    struct weights w = {0};
    struct err err = {{0}};
    struct fixture f;

    set_up(&f, true, false);
    assert_int_equal(open_weights(&f, &w, &err), ST_OK);
    assert_non_null(w.embed.data);
    assert_ptr_equal(w.embed.data, w.head.data);
    weights_release(&w);

    strcpy(tiny_find(&f.m, "model.embed_tokens.weight")->name, "lm_head.weight");
    assert_int_equal(open_weights(&f, &w, &err), ST_OK);
    assert_non_null(w.embed.data);
    assert_ptr_equal(w.embed.data, w.head.data);
    weights_release(&w);

    strcpy(tiny_find(&f.m, "lm_head.weight")->name, "other.weight");
    refuse(&f, ST_CORRUPT, "model.embed_tokens.weight", "missing");
    tear_down(&f);
}

static void an_untied_model_needs_both_matrices(void **state)
{
    struct fixture f;

    set_up(&f, false, false);
    strcpy(tiny_find(&f.m, "lm_head.weight")->name, "x");
    refuse(&f, ST_CORRUPT, "lm_head.weight", "missing");
    strcpy(tiny_find(&f.m, "x")->name, "lm_head.weight");
    strcpy(tiny_find(&f.m, "model.embed_tokens.weight")->name, "x");
    refuse(&f, ST_CORRUPT, "model.embed_tokens.weight", "missing");
    tear_down(&f);
}

static void extra_tensors_are_ignored(void **state)
{
    struct weights w = {0};
    struct err err = {{0}};
    struct fixture f;

    set_up(&f, true, false);
    tiny_add(&f.m, "model.layers.0.self_attn.rotary_emb.inv_freq", 4, 0);
    assert_int_equal(open_weights(&f, &w, &err), ST_OK);
    weights_release(&w);
    tear_down(&f);
}

static void every_missing_or_misshapen_tensor_is_named(void **state)
{
    struct fixture f;

    set_up(&f, true, true);
    for (int i = 0; i < f.m.n; i++) {
        struct tiny_tensor *t = &f.m.t[i];
        struct tiny_tensor old = *t;
        snprintf(t->name, sizeof t->name, "x");
        refuse(&f, ST_CORRUPT, old.name, "missing");
        *t = old;
        t->dim[0] -= 1;
        t->n = (size_t)t->dim[0] * (t->n_dims == 2 ? t->dim[1] : 1);
        refuse(&f, ST_CORRUPT, old.name, "shape");
        *t = old;
        if (t->n_dims == 2) { /* transposed: as many bytes, unless it is square */
            t->dim[0] = old.dim[1];
            t->dim[1] = old.dim[0];
            refuse(&f, ST_CORRUPT, old.name, "shape");
            *t = old;
        }
    }
    tear_down(&f);
}

static void a_dtype_that_kernels_do_not_read_is_named(void **state)
{
    struct fixture f;

    set_up(&f, true, false);
    for (int i = 0; i < f.m.n; i++) {
        struct tiny_tensor *t = &f.m.t[i];
        struct tiny_tensor old = *t;
        if (strcmp(t->dtype, "F32") == 0)
            continue;
        t->dtype = "I16";
        refuse(&f, ST_UNSUPPORTED, old.name, "I16");
        *t = old;
    }
    tear_down(&f);
}

static void a_bias_that_the_config_does_not_announce_is_refused(void **state)
{
    struct fixture f;

    set_up(&f, true, false);
    tiny_add(&f.m, "model.layers.1.self_attn.q_proj.bias", 32, 0);
    refuse(&f, ST_CORRUPT, "model.layers.1.self_attn.q_proj.bias",
           "this config's LlamaForCausalLM has none");
    tear_down(&f);
}

static void norms_of_q_and_k_are_bound_where_the_family_has_them(void **state)
{
    struct weights w = {0};
    struct err err = {{0}};
    struct fixture f;

    set_up(&f, true, false);
    tiny_release(&f.m);
    f.m.architecture = "Qwen3ForCausalLM";
    tiny_make(&f.m);
    assert_int_equal(open_weights(&f, &w, &err), ST_OK);
    assert_true(first_of(&w.layer[1].q_norm) ==
                tiny_find(&f.m, "model.layers.1.self_attn.q_norm.weight")->value[0]);
    assert_true(first_of(&w.layer[1].k_norm) ==
                tiny_find(&f.m, "model.layers.1.self_attn.k_norm.weight")->value[0]);
    weights_release(&w);
    strcpy(tiny_find(&f.m, "model.layers.0.self_attn.k_norm.weight")->name, "x");
    refuse(&f, ST_CORRUPT, "model.layers.0.self_attn.k_norm.weight", "missing");
    strcpy(tiny_find(&f.m, "x")->name, "model.layers.0.self_attn.k_norm.weight");
    f.m.architecture = NULL;
    refuse(&f, ST_CORRUPT, "model.layers.0.self_attn.q_norm.weight", "has none");
    tear_down(&f);
}

static void a_qwen2_has_biases_of_q_k_and_v_alone(void **state)
{
    struct weights w = {0};
    struct err err = {{0}};
    struct fixture f;

    set_up(&f, true, false);
    tiny_release(&f.m);
    f.m.architecture = "Qwen2ForCausalLM";
    tiny_make(&f.m);
    assert_int_equal(open_weights(&f, &w, &err), ST_OK);
    assert_non_null(w.layer[0].q.bias);
    assert_non_null(w.layer[0].k.bias);
    assert_non_null(w.layer[0].v.bias);
    assert_null(w.layer[0].o.bias);
    weights_release(&w);
    tiny_add(&f.m, "model.layers.1.self_attn.o_proj.bias", TINY_HIDDEN, 0);
    refuse(&f, ST_CORRUPT, "model.layers.1.self_attn.o_proj.bias", "has none");
    tear_down(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_role_gets_its_tensor_and_bias),
        cmocka_unit_test(tied_matrices_are_found_whichever_is_stored),
        cmocka_unit_test(an_untied_model_needs_both_matrices),
        cmocka_unit_test(extra_tensors_are_ignored),
        cmocka_unit_test(every_missing_or_misshapen_tensor_is_named),
        cmocka_unit_test(a_dtype_that_kernels_do_not_read_is_named),
        cmocka_unit_test(norms_of_q_and_k_are_bound_where_the_family_has_them),
        cmocka_unit_test(a_qwen2_has_biases_of_q_k_and_v_alone),
        cmocka_unit_test(a_bias_that_the_config_does_not_announce_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
