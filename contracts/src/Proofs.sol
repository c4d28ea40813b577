// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";

/// @title Ordered Merkle trees of records
/// @notice Leaf = keccak256(struct hash), node = keccak256(left, right), padded with zeros to a power of two. A leaf is a
/// hash of 32 bytes and a node one of 64, so a node cannot pass as a leaf.
library Proofs {
    /// @notice The record does not stand at this position of the tree.
    error NotInTree(bytes32 root, bytes32 found, uint256 position);
    /// @notice A tree of this depth has no such position.
    error PositionOutside(uint256 position, uint256 depth);
    /// @notice A range needs neither more nor fewer siblings than lie at its borders.
    error WrongBorder(uint256 given, uint256 needed);

    /// @notice Requires that a record stands at a position.
    /// @param structHash of the record; zero = the position is empty
    /// @param siblings from the bottom
    function requireAt(bytes32 structHash, uint256 position, bytes32[] calldata siblings, bytes32 root) internal pure {
        bytes32 found = rootAt(structHash, position, siblings);
        require(found == root, NotInTree(root, found, position));
    }

    /// @notice Requires that no record stands at a position: it is empty, or it lies behind the last one of the tree, which is
    /// empty.
    /// @param siblings of that place, from the bottom
    function requireNone(uint256 position, bytes32[] calldata siblings, bytes32 root) internal pure {
        uint256 last = (1 << siblings.length) - 1;
        requireAt(0, position < last ? position : last, siblings, root);
    }

    /// @notice Root of the tree in which a record stands at a position.
    /// @param structHash of the record; zero = the position is empty
    /// @param siblings from the bottom
    function rootAt(bytes32 structHash, uint256 position, bytes32[] calldata siblings)
        internal
        pure
        returns (bytes32 node)
    {
        require(position >> siblings.length == 0, PositionOutside(position, siblings.length));
        node = structHash == 0 ? bytes32(0) : leafOf(structHash);
        uint256 place = position;
        for (uint256 i = 0; i < siblings.length; ++i) {
            node = place & 1 == 0
                ? Hashes.efficientKeccak256(node, siblings[i])
                : Hashes.efficientKeccak256(siblings[i], node);
            place >>= 1;
        }
    }

    /// @notice Requires that leaves stand side by side.
    /// @param nodes the leaves, at least one, and room for one more; overwritten
    /// @param first position of the first
    /// @param depth of the tree
    /// @param border siblings beside the range, level by level from the bottom, the left one before the right one
    /// @param last whether all places behind these are empty, so that there are no siblings on the right
    function requireRange(
        bytes32[] memory nodes,
        uint256 first,
        uint256 depth,
        bytes32[] calldata border,
        bool last,
        bytes32 root
    ) internal pure {
        uint256 count = nodes.length - 1;
        bool inside = depth < 64 && first >> depth == 0 && (first + count - 1) >> depth == 0;
        require(inside, PositionOutside(first, depth));
        uint256 used = 0;
        bytes32 empty = 0;
        for (uint256 level = 0; level < depth; ++level) {
            if (last && ((first >> level) + count) & 1 == 1) nodes[count++] = empty;
            (count, used) = _parents(nodes, count, first >> level, border, used);
            empty = Hashes.efficientKeccak256(empty, empty);
        }
        require(used == border.length, WrongBorder(border.length, used));
        require(nodes[0] == root, NotInTree(root, nodes[0], first));
    }

    /// @dev Replaces neighbours by their parents.
    /// @param count how many nodes there are
    /// @param place position of the first in its level
    /// @param used how many siblings were taken
    function _parents(bytes32[] memory nodes, uint256 count, uint256 place, bytes32[] calldata border, uint256 used)
        private
        pure
        returns (uint256 parents, uint256)
    {
        parents = ((place + count - 1) >> 1) - (place >> 1) + 1;
        uint256 next = 0;
        // Parents are written over children that were read: parent i needs none before i.
        for (uint256 i = 0; i < parents; ++i) {
            bool bordered = i == 0 && place & 1 == 1;
            bytes32 left = bordered ? _sibling(border, used++) : nodes[next++];
            bytes32 right = next < count ? nodes[next++] : _sibling(border, used++);
            nodes[i] = Hashes.efficientKeccak256(left, right);
        }
        return (parents, used);
    }

    /// @notice Whether a tree of so many records has this depth.
    function isDepthOf(uint256 count, uint256 depth) internal pure returns (bool) {
        return count <= 1 << depth && (depth == 0 || count > 1 << (depth - 1));
    }

    function leafOf(bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encode(structHash));
    }

    function _sibling(bytes32[] calldata border, uint256 index) private pure returns (bytes32) {
        require(index < border.length, WrongBorder(border.length, index + 1));
        return border[index];
    }
}
