"""What the commands say, in English and in Chinese.

In: a key and values. Out: the sentence in the language of `RUSHLIGHT_LANG` (en or zh), else of the
locale.
"""

from __future__ import annotations

import locale
import os

__all__ = ["language", "say"]

_MESSAGES: dict[str, tuple[str, str]] = {
    "task": (
        "{name}: {train} training and {validation} validation images, {classes} classes",
        "{name}：{train} 张训练图像，{validation} 张验证图像，{classes} 个类别",
    ),
    "network": (
        "network: {parameters} parameters; {epochs} epochs of batches of {batch}",
        "网络：{parameters} 个参数；{epochs} 轮，每批 {batch} 张",
    ),
    "epoch": ("epoch {now}/{all}", "第 {now}/{all} 轮"),
    "loss": ("loss", "损失"),
    "accuracy": ("accuracy", "准确率"),
    "epoch_done": (
        "epoch {now}/{all}  training: loss {loss:.4f}, accuracy {accuracy:.1%}"
        "  validation: loss {val_loss:.4f}, accuracy {val_accuracy:.1%}",
        "第 {now}/{all} 轮  训练：损失 {loss:.4f}，准确率 {accuracy:.1%}"
        "  验证：损失 {val_loss:.4f}，准确率 {val_accuracy:.1%}",
    ),
    "done": (
        "validation accuracy {accuracy:.2%} after {seconds:.0f} s",
        "验证准确率 {accuracy:.2%}，用时 {seconds:.0f} 秒",
    ),
    "interrupted": (
        "interrupted: the model as it is after {steps} steps is in {path}",
        "已中断：{steps} 步之后的模型保存在 {path}",
    ),
    "interrupted_early": (
        "interrupted before the first step: nothing was learned, nothing was saved",
        "在第一步之前中断：什么都没有学到，也没有保存",
    ),
    "left": ("left in {folder}:", "留在 {folder} 里："),
    "left_model": ("the weights (a state_dict)", "权重（state_dict）"),
    "left_events": ("curves for TensorBoard", "TensorBoard 曲线"),
    "left_report": ("the report; open in a browser", "报告，用浏览器打开"),
    "next": ("what next:", "接下来可以："),
    "next_tensorboard": (
        "watch the curves      pip install tensorboard && tensorboard --logdir {out}",
        "看曲线          pip install tensorboard && tensorboard --logdir {out}",
    ),
    "next_load": (
        'load the weights      net.load_state_dict(rushlight.load("{model}"))',
        '载入权重        net.load_state_dict(rushlight.load("{model}"))',
    ),
    "next_cifar": (
        "train on photographs  {rushlight} train --data cifar10 --root data --download",
        "换成真实照片    {rushlight} train --data cifar10 --root data --download",
    ),
    "next_script": (
        "run a PyTorch script  {python} -m rushlight script.py",
        "跑 PyTorch 脚本  {python} -m rushlight script.py",
    ),
    "root_missing": (
        "--data cifar10 needs --root DIR: the folder that holds cifar-10-batches-py/.\n"
        "  To fetch it (170 MB) add --download, as in\n"
        "  rushlight train --data cifar10 --root data --download",
        "--data cifar10 需要 --root DIR：装有 cifar-10-batches-py/ 的文件夹。\n"
        "  要下载它（170 MB），加上 --download：\n"
        "  rushlight train --data cifar10 --root data --download",
    ),
    "data_missing": (
        "no usable CIFAR-10 in {root}: {reason}\n"
        "  Either add --download (170 MB; RUSHLIGHT_MIRROR names a folder or URL to fetch from),\n"
        "  or unpack cifar-10-python.tar.gz there, so that {root}/cifar-10-batches-py/ exists.\n"
        "  No other data is used in its place.",
        "{root} 里没有可用的 CIFAR-10：{reason}\n"
        "  可以加上 --download（170 MB；RUSHLIGHT_MIRROR 可指定下载来源的文件夹或网址），\n"
        "  或者把 cifar-10-python.tar.gz 解压到那里，使 {root}/cifar-10-batches-py/ 存在。\n"
        "  不会用别的数据来代替。",
    ),
    # The report.
    "title": ("Training report", "训练报告"),
    "subtitle": ("{name} · {when}", "{name} · {when}"),
    "r_accuracy": ("validation accuracy", "验证准确率"),
    "r_loss": ("validation loss", "验证损失"),
    "r_time": ("time", "用时"),
    "r_seconds": ("{seconds:.0f} s", "{seconds:.0f} 秒"),
    "r_parameters": ("parameters", "参数个数"),
    "r_interrupted": (
        "This run was interrupted; it shows the epochs that were completed.",
        "这次训练被中断；这里是已完成的各轮。",
    ),
    "r_training": ("training", "训练"),
    "r_validation": ("validation", "验证"),
    "r_epoch": ("epoch", "轮"),
    "r_confusion": ("Confusion matrix", "混淆矩阵"),
    "r_confusion_text": (
        "Rows: what it is. Columns: what the network said. Percent of each row.",
        "行：实际类别。列：网络的判断。数字是每行的百分比。",
    ),
    "r_samples": ("Sample predictions", "预测样例"),
    "r_samples_text": (
        "Validation images the network had never seen; the mistakes first.",
        "网络从未见过的验证图像；先列出错误的。",
    ),
    "r_truth": ("is {name}", "实为 {name}"),
    "r_settings": ("Settings", "设置"),
    "r_row": ("{truth} taken for {said}: {count}", "{truth} 判为 {said}：{count}"),
}


def language() -> str:
    """The language of messages: "en" or "zh"."""
    wish = os.environ.get("RUSHLIGHT_LANG", "").lower()
    if not wish:
        for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
            if wish := os.environ.get(name, "").lower():
                break
        else:
            wish = (
                locale.getlocale()[0] or ""
            ).lower()  # Windows says "Chinese (Simplified)_China"
    return "zh" if wish.startswith(("zh", "chinese")) else "en"


def say(key: str, **values: object) -> str:
    """The sentence `key` with its values filled in.

    Example:
        >>> say("r_truth", name="star")
        'is star'
    """
    return _MESSAGES[key][language() == "zh"].format(**values)
