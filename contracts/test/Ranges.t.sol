// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Proofs} from "../src/Proofs.sol";
import {Tree} from "./Tree.sol";

/// Leaves side by side lead to the root of their tree, and to no other.
contract RangesTest is Tree {
    bytes4 private constant OTHER = Proofs.NotInTree.selector;

    function range(
        bytes32[] memory hashes,
        uint256 first,
        uint256 depth,
        bytes32[] calldata border,
        bool last,
        bytes32 root
    ) external pure {
        bytes32[] memory nodes = new bytes32[](hashes.length + 1);
        for (uint256 i = 0; i < hashes.length; ++i) {
            if (hashes[i] != 0) nodes[i] = Proofs.leafOf(hashes[i]);
        }
        Proofs.requireRange(nodes, first, depth, border, last, root);
    }

    /// Any range of any tree, also one that takes in empty places.
    function test_a_range_leads_to_the_root(uint256 count, uint256 first, uint256 size) public view {
        bytes32[] memory all = tree(count % 70);
        uint256 depth = depthOf(all.length);
        first %= 1 << depth;
        size = 1 + size % ((1 << depth) - first);
        bytes32[] memory border = borderOf(all, first, first + size - 1);
        bytes32[] memory own = part(all, first, size);
        this.range(own, first, depth, border, false, rootOf(all));
        refuse(own, first, depth, border, false, keccak256("another"), OTHER);
        own[size - 1] ^= bytes32(uint256(1));
        refuse(own, first, depth, border, false, rootOf(all), OTHER);
    }

    /// All that is behind the last ones is empty, however much that is.
    function test_the_last_ones_need_nothing_on_their_right(uint256 count, uint256 first, uint256 levels) public view {
        count %= 40;
        bytes32[] memory all = tree(count);
        uint256 depth = depthOf(count) + levels % 4;
        bytes32[] memory padded = part(all, 0, 1 << depth);
        first %= count == 0 ? 1 : count;
        bytes32[] memory border = borderOf(padded, first, padded.length - 1);
        uint256 size = count == 0 ? 1 : count - first;
        this.range(part(all, first, size), first, depth, border, true, rootOf(padded));
        // The first empty place alone, where there is one.
        if (count < padded.length) {
            bytes32[] memory beside = borderOf(padded, count, padded.length - 1);
            this.range(new bytes32[](1), count, depth, beside, true, rootOf(padded));
        }
        if (size < 2) return;
        // Another one is behind.
        refuse(part(all, first, size - 1), first, depth, border, true, rootOf(padded), OTHER);
    }

    /// Nothing is behind the end of a tree, and nothing is that deep.
    function test_a_range_lies_in_its_tree(uint256 first, uint256 size, uint256 depth) public view {
        (size, depth) = (1 + size % 20, depth % 300);
        if (depth < 64 && first < 1 << depth && first + size <= 1 << depth) first = 1 << depth;
        if (first > type(uint256).max - size) first -= size;
        bytes4 outside = Proofs.PositionOutside.selector;
        refuse(new bytes32[](size), first, depth, new bytes32[](0), false, 0, outside);
        refuse(new bytes32[](size), first, depth, new bytes32[](0), true, 0, outside);
    }

    function refuse(
        bytes32[] memory hashes,
        uint256 first,
        uint256 depth,
        bytes32[] memory border,
        bool last,
        bytes32 root,
        bytes4 selector
    ) private view {
        bytes memory data = abi.encodeCall(this.range, (hashes, first, depth, border, last, root));
        (bool done, bytes memory reason) = address(this).staticcall(data);
        require(!done && bytes4(reason) == selector, string(reason));
    }

    function tree(uint256 count) private pure returns (bytes32[] memory all) {
        all = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            all[i] = keccak256(abi.encode(i));
        }
    }

    /// So many of them from the first one on; empty behind the end.
    function part(bytes32[] memory all, uint256 first, uint256 size) private pure returns (bytes32[] memory own) {
        own = new bytes32[](size);
        for (uint256 i = 0; i < size && first + i < all.length; ++i) {
            own[i] = all[first + i];
        }
    }
}
