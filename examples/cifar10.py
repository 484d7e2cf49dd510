"""The tutorials' CIFAR-10 classifier as a plain PyTorch script: two convolutions, three linear.

Runs equally under real PyTorch and under rushlight, and prints the same losses:

    python -m rushlight examples/cifar10.py --root data --download
    python examples/cifar10.py --root data --download

Network: the PyTorch tutorial "Training a Classifier"; batches of 64, shuffled, seed 0, plain SGD.
"""

import argparse

import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision import transforms


class Net(nn.Module):
    """conv 6 - pool - conv 16 - pool - 120 - 84 - 10."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))  # (N, 3, 32, 32) -> (N, 6, 14, 14)
        x = self.pool(F.relu(self.conv2(x)))  # -> (N, 16, 5, 5)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default="data", help="folder that holds cifar-10-batches-py")
    parser.add_argument("--download", action="store_true", help="fetch the data set if missing")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--momentum", type=float, default=0.0)
    parser.add_argument("--every", type=int, default=10, help="print every so many steps")
    options = parser.parse_args()

    torch.manual_seed(0)
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    )
    data = torchvision.datasets.CIFAR10(
        options.root, train=True, transform=transform, download=options.download
    )
    loader = torch.utils.data.DataLoader(data, batch_size=64, shuffle=True)
    net = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=options.lr, momentum=options.momentum)

    step = 0
    while step < options.steps:
        for images, labels in loader:
            step += 1
            optimizer.zero_grad()
            loss = criterion(net(images), labels)
            loss.backward()
            optimizer.step()
            if step % options.every == 0 or step == 1:
                print(f"step {step:4d}  loss {loss.item():.6f}", flush=True)
            if step == options.steps:
                break


if __name__ == "__main__":
    main()
