"""The built-in networks as data: what training makes modules of, and hardware untrained networks.

Each is written once, here, part after part, with the names that its layers have in both.
"""

from codegen.zoo._parts import Architecture, Convolution, GlobalAverage, Hidden, Part, Pool, Residual

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Convolution",
    "GlobalAverage",
    "Hidden",
    "Part",
    "Pool",
    "Residual",
]

DIGITS = Architecture(
    "a small CNN for 8x8 digits, 21,664 MACs",
    size=8,
    channels=1,
    parts=(
        Convolution("conv1", 8, 3),  # 8x8 -> 6x6
        Convolution("conv2", 16, 3, pool=Pool(2, 2)),  # 6x6 -> 4x4 -> 2x2
    ),
    classifier="fc",
)

LENET = Architecture(
    "LeNet-5 (LeCun et al., Proc. IEEE 86, 1998) with max pooling, 416,520 MACs",
    size=28,
    channels=1,
    parts=(
        Convolution("conv1", 6, 5, padding=2, pool=Pool(2, 2)),  # 28x28 -> 14x14
        Convolution("conv2", 16, 5, pool=Pool(2, 2)),  # 14x14 -> 5x5
        Hidden("fc1", 120),
        Hidden("fc2", 84),
    ),
    classifier="fc3",
)

VGG_SMALL = Architecture(
    "the CIFAR-10 network of the binary-network literature (LQ-Nets, arXiv 1807.10029; after VGG, 1409.1556)",
    size=32,
    channels=3,
    parts=(
        Convolution("conv1", 128, 3, padding=1),
        Convolution("conv2", 128, 3, padding=1, pool=Pool(2, 2)),
        Convolution("conv3", 256, 3, padding=1),
        Convolution("conv4", 256, 3, padding=1, pool=Pool(2, 2)),
        Convolution("conv5", 512, 3, padding=1),
        Convolution("conv6", 512, 3, padding=1, pool=Pool(2, 2)),
    ),
    classifier="fc",
)

ALEXNET = Architecture(
    "Krizhevsky's second AlexNet (arXiv 1404.5997) in the geometry of torchvision's: one column, no groups",
    size=224,
    channels=3,
    parts=(
        Convolution("conv1", 64, 11, stride=4, padding=2, pool=Pool(3, 2)),
        Convolution("conv2", 192, 5, padding=2, pool=Pool(3, 2)),
        Convolution("conv3", 384, 3, padding=1),
        Convolution("conv4", 256, 3, padding=1),
        Convolution("conv5", 256, 3, padding=1, pool=Pool(3, 2)),
        Hidden("fc1", 4096),
        Hidden("fc2", 4096),
    ),
    classifier="fc3",
    classes=1000,
)

RESNET18 = Architecture(
    "ResNet-18 (arXiv 1512.03385); images below 64 pixels get the 3x3 first layer of its CIFAR networks",
    size=224,
    channels=3,
    parts=(
        Convolution("conv1", 64, 7, stride=2, padding=3, pool=Pool(3, 2, 1)),
        Residual("block1a", 64, stride=1),
        Residual("block1b", 64, stride=1),
        Residual("block2a", 128, stride=2),
        Residual("block2b", 128, stride=1),
        Residual("block3a", 256, stride=2),
        Residual("block3b", 256, stride=1),
        Residual("block4a", 512, stride=2),
        Residual("block4b", 512, stride=1),
        GlobalAverage("average"),
    ),
    classifier="fc",
    classes=1000,
    small_first=Convolution("conv1", 64, 3, padding=1),
)

ARCHITECTURES = {
    "digits": DIGITS,
    "lenet": LENET,
    "vgg_small": VGG_SMALL,
    "alexnet": ALEXNET,
    "resnet18": RESNET18,
}
"""By the names that recipes have for them."""
