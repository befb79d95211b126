"""Where a model goes: llama-cpp-python's words, device specs, and what is said where a device does not exist."""
import logging
import os
import unittest

import support
from support import hearth
from hearth import _options

GPUS = [{"spec": "cpu", "unavailable": ""}, {"spec": "sim:0", "unavailable": ""}, {"spec": "onednn:0", "unavailable": ""},
        {"spec": "cuda:0", "unavailable": "no driver"}, {"spec": "cuda:1", "unavailable": ""}, {"spec": "cuda:2", "unavailable": ""}]


def spec(devices=lambda: (_ for _ in ()).throw(AssertionError("no list is needed")), **words):
    return _options.device_spec({**_options.PLACEMENT_DEFAULTS, "device": None, **words}, devices)


class Words(unittest.TestCase):
    def test_each_combination_has_one_spec(self):
        for words, want in (({}, "cpu"), ({"offload_kqv": False}, "cpu"), ({"n_gpu_layers": -1}, "auto,layers=auto"),
                            ({"n_gpu_layers": 20}, "auto,layers=20"), ({"n_gpu_layers": 20, "offload_kqv": False}, "auto,layers=20,kv=cpu"),
                            ({"n_gpu_layers": -1, "split_mode": 2}, "auto,layers=auto,split=tensor"),
                            ({"n_gpu_layers": -1, "split_mode": 3}, "auto,layers=auto,split=tensor"),
                            ({"n_gpu_layers": 9, "tensor_split": [3, 1 / 3, 0]}, "auto,layers=9,shares=3:0.333333:0"),
                            ({"device": "cuda:0,kv=cpu"}, "cuda:0,kv=cpu")):
            with self.subTest(words=words):
                self.assertEqual(spec(**words), want)

    def test_main_gpu_counts_the_usable_accelerators(self):
        self.assertEqual(spec(lambda: GPUS, n_gpu_layers=-1, split_mode=0), "cuda:1,layers=auto")
        self.assertEqual(spec(lambda: GPUS, n_gpu_layers=5, split_mode=0, main_gpu=1, offload_kqv=False), "cuda:2,layers=5,kv=cpu")
        self.assertEqual(spec(lambda: GPUS[:2], n_gpu_layers=5, split_mode=0), "auto,layers=5")
        with self.assertRaisesRegex(ValueError, "main_gpu is 2; the usable GPUs are cuda:1, cuda:2"):
            spec(lambda: GPUS, n_gpu_layers=-1, split_mode=0, main_gpu=2)

    def test_what_means_nothing_is_an_error(self):
        for words in ({"n_gpu_layers": -2}, {"n_gpu_layers": 1.5}, {"n_gpu_layers": 1, "split_mode": 4}, {"n_gpu_layers": 1, "main_gpu": -1},
                      {"n_gpu_layers": 1, "tensor_split": [-1]}, {"n_gpu_layers": 1, "tensor_split": [float("nan")]},
                      {"n_gpu_layers": 1, "device": "cpu"}, {"offload_kqv": False, "device": "cpu"}):
            with self.subTest(words=words), self.assertRaises(ValueError):
                spec(**words)
        for words in ({"main_gpu": 1}, {"tensor_split": [1]}, {"split_mode": 2}, {"n_gpu_layers": 1, "main_gpu": 1},
                      {"n_gpu_layers": 1, "split_mode": 0, "tensor_split": [1]}):
            with self.subTest(words=words), self.assertRaises(hearth.UnsupportedError):
                spec(**words)

    def test_the_typo_that_hid_for_years_is_an_error(self):
        with self.assertRaisesRegex(TypeError, "'offload_qkv'; did you mean 'offload_kqv'"):
            hearth.Llama(support.tiny_model(), n_gpu_layers=0, offload_qkv=False)


class Simulated(unittest.TestCase):
    def test_a_model_is_where_it_was_told_to_go(self):
        def told(device):
            with hearth.Llama(support.tiny_model(), n_threads=1, n_ctx=64, device=device) as llama:
                where = [(d["device"].decode() if isinstance(d["device"], bytes) else d["device"], d["n_layer"]) for d in llama.model.placement()]
                return where, llama.model.info["device"], llama("the cat", max_tokens=8, temperature=0)["choices"][0]["text"]

        where, device, text = told("cpu")
        self.assertEqual((where, device), ([("cpu", 3)], "cpu"))  # two layers and the output
        self.assertEqual(told("sim:2x4MiB,layers=2"), ([("cpu", 1), ("sim:0", 1), ("sim:1", 1)], "cpu, sim:0, sim:1", text))
        with self.assertRaisesRegex(MemoryError, "sim:0: 3 layers need .* layers fit; use layers="):
            told("sim:32KiB,layers=all")


    def test_a_plan_says_before_the_load_what_is_where_and_whether_it_fits(self):
        with hearth.Runtime(1) as runtime:
            context = {"n_ctx": 64, "n_batch": 16}
            plan = hearth.Model.plan(runtime, support.tiny_model(), "sim:2x4MiB,layers=2", context)
            self.assertTrue(plan["fits"])
            self.assertEqual([(d["device"], d["n_layer"], d["fits"]) for d in plan["devices"]], [("cpu", 1, True), ("sim:0", 1, True), ("sim:1", 1, True)])
            self.assertEqual(plan["total_bytes"], sum(d["total_bytes"] for d in plan["devices"]))
            self.assertEqual(runtime.memory()[1], 0)  # nothing was loaded
            model = hearth.Model(runtime, support.tiny_model(), "sim:2x4MiB,layers=2")
            self.assertEqual([d["weight_bytes"] for d in plan["devices"]], [d["weight_bytes"] for d in model.placement()])
            with hearth.Context(model, **context):
                self.assertEqual(runtime.memory()[0], plan["devices"][0]["total_bytes"])
            tight = hearth.Model.plan(runtime, support.tiny_model(), "sim:32KiB,layers=all", context)
            self.assertFalse(tight["fits"])
            self.assertLess(tight["n_layer_fits"], 3)
            with self.assertRaisesRegex(hearth.HearthError, "unknown device"):
                hearth.Model.plan(runtime, support.tiny_model(), "smi:0")

    def test_a_mapped_model_stays_in_its_file(self):
        with hearth.Runtime(1) as runtime:
            context = {"n_ctx": 64, "n_batch": 16}
            plan = hearth.Model.plan(runtime, support.tiny_model(), "cpu", context, use_mmap=True)
            copied = hearth.Model.plan(runtime, support.tiny_model(), "cpu", context)
            self.assertGreater(plan["mapped_bytes"], 0)
            self.assertEqual((copied["mapped_bytes"], plan["devices"][0]["mapped_bytes"]), (0, plan["mapped_bytes"]))
            self.assertLess(plan["total_bytes"], copied["total_bytes"])
            with hearth.Model(runtime, support.tiny_model(), "cpu", use_mmap=True) as model, hearth.Context(model, **context):
                self.assertEqual(model.placement()[0]["mapped_bytes"], plan["mapped_bytes"])
                self.assertEqual(runtime.memory()[0], plan["total_bytes"])

    def test_an_error_names_its_device(self):
        with hearth.Runtime(1) as runtime:
            for device, kind, index, spec in (("sim:2x4MiB;fail=:1,layers=3", MemoryError, 1, "sim:1"), ("sim:2x4MiB;fail=1:,layers=3", MemoryError, 0, "sim:0"),
                                              ("nonsense", hearth.HearthError, -1, "")):
                with self.subTest(device=device), self.assertRaises(kind) as raised:
                    hearth.Model(runtime, support.tiny_model(), device)
                self.assertEqual((raised.exception.device, raised.exception.device_spec), (index, spec))
            model = hearth.Model(runtime, support.tiny_model(), "sim:2x4MiB;lost=:1,layers=3")
            with hearth.Context(model, n_ctx=32, n_batch=8) as context, self.assertRaisesRegex(hearth.HearthError, "sim:1: the device is lost") as raised:
                context.decode(model.tokenize("the cat"))
            self.assertEqual((raised.exception.device, raised.exception.device_spec), (1, "sim:1"))

    def test_an_unused_model_gives_way_and_comes_back(self):
        with hearth.Runtime(1, unload_unused=True) as runtime:
            one, other = (hearth.Model(runtime, support.tiny_model(), "sim:4MiB") for _ in range(2))
            size = one.placement()[1]["weight_bytes"]
            device = f"sim:{size * 3 // 2},reserve=0"
            one, other = (hearth.Model(runtime, support.tiny_model(), device) for _ in range(2))
            self.assertEqual((one.loaded, other.loaded), (False, True))
            tokens = one.tokenize("the cat")
            with self.assertRaisesRegex(hearth.HearthError, "not loaded"):
                one.placement()
            with hearth.Context(one, n_ctx=32, n_batch=8) as context:
                context.decode(tokens)
                self.assertEqual((one.loaded, other.loaded), (True, False))
                with self.assertRaises(MemoryError):  # one is in use
                    hearth.Context(other, n_ctx=32, n_batch=8)


class NoAccelerator(unittest.TestCase):
    """On a machine whose plugin path holds nothing that works."""

    def setUp(self):
        self.folder = os.path.join(support.FOLDER, "plugins")
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "libhearth_broken.so"), "w", encoding="ascii") as file:
            file.write("no library")
        with hearth.Runtime(1) as runtime:
            if any(d["spec"].split(":")[0] not in _options.NOT_ACCELERATORS and not d["unavailable"] for d in runtime.devices()):
                self.skipTest("this machine has an accelerator")

    def test_zero_layers_are_the_cpu(self):
        with hearth.Llama(support.tiny_model(), n_threads=1, n_gpu_layers=0, offload_kqv=False) as llama:
            self.assertEqual(llama.model.info["device"], "cpu")

    def test_all_layers_fall_to_the_cpu_with_a_warning(self):
        with self.assertLogs("hearth", logging.WARNING) as log:
            with hearth.Llama(support.tiny_model(), n_threads=1, n_gpu_layers=-1) as llama:
                self.assertEqual(llama.model.info["device"], "cpu")
        self.assertIn("there is no usable GPU", log.output[0])

    def test_a_number_of_layers_is_an_error_that_names_what_is_known(self):
        with self.assertRaisesRegex(hearth.HearthError, "none is usable .known: auto, cpu, ref"):
            hearth.Llama(support.tiny_model(), n_threads=1, n_gpu_layers=20)

    @unittest.skipIf(os.name == "nt", "the file is named for another system")
    def test_an_unusable_plugin_is_listed_with_its_reason(self):
        with hearth.Runtime(1, plugin_path=self.folder) as runtime:
            broken = [d for d in runtime.devices() if d["spec"] == "broken"]
            self.assertEqual(len(broken), 1)
            self.assertIn("cannot be opened", broken[0]["unavailable"])
            with self.assertRaisesRegex(hearth.HearthError, "libhearth_broken.so cannot be used"):
                hearth.Model(runtime, support.tiny_model(), "broken:0")


if __name__ == "__main__":
    unittest.main()
