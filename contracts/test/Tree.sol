// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {
    BASKET_TYPEHASH,
    Basket,
    LINE_TYPEHASH,
    Line,
    MANDATE_TYPEHASH,
    Mandate,
    ORDER_TYPEHASH,
    Order,
    READING_TYPEHASH,
    Reading,
    STATEMENT_TYPEHASH,
    Statement,
    TRADE_TYPEHASH,
    Trade
} from "../src/Records.sol";

/// Struct hashes of records, and trees over them, spelled out independently of the contracts.
abstract contract Tree {
    // Records

    function hashOf(Line memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(LINE_TYPEHASH, value));
    }

    function hashOf(Statement memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(STATEMENT_TYPEHASH, value));
    }

    function hashOf(Trade memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(TRADE_TYPEHASH, value));
    }

    function hashOf(Basket memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(BASKET_TYPEHASH, value));
    }

    function hashOf(Reading memory value) internal pure returns (bytes32) {
        return keccak256(abi.encode(READING_TYPEHASH, value));
    }

    function hashOf(Order memory o) internal pure returns (bytes32) {
        bytes memory head = abi.encode(ORDER_TYPEHASH, o.member, keccak256(bytes(o.text)), o.side, o.wh, o.limit);
        return keccak256(bytes.concat(head, abi.encode(o.slot, o.expiry, o.nonce)));
    }

    function hashOf(Mandate memory m) internal pure returns (bytes32) {
        bytes memory head = abi.encode(MANDATE_TYPEHASH, m.member, m.agent, keccak256(bytes(m.text)));
        bytes memory tail = abi.encode(m.maxBuy, m.minSell, m.buyWh, m.sellWh, m.validFrom, m.validUntil, m.nonce);
        return keccak256(bytes.concat(head, tail));
    }

    // Trees of records with these struct hashes; zero = the place is empty

    function depthOf(uint256 count) internal pure returns (uint256 depth) {
        while (1 << depth < count) ++depth;
    }

    function rootOf(bytes32[] memory hashes) internal pure returns (bytes32) {
        bytes32[] memory nodes = _leaves(hashes);
        for (uint256 width = nodes.length; width > 1; width /= 2) {
            _lift(nodes, width);
        }
        return nodes[0];
    }

    function siblingsOf(bytes32[] memory hashes, uint256 position) internal pure returns (bytes32[] memory siblings) {
        bytes32[] memory nodes = _leaves(hashes);
        siblings = new bytes32[](depthOf(hashes.length));
        for (uint256 level = 0; level < siblings.length; ++level) {
            siblings[level] = nodes[position ^ 1];
            _lift(nodes, nodes.length >> level);
            position >>= 1;
        }
    }

    /// Siblings beside the leaves from `first` to `last`.
    function borderOf(bytes32[] memory hashes, uint256 first, uint256 last)
        internal
        pure
        returns (bytes32[] memory border)
    {
        bytes32[] memory left = siblingsOf(hashes, first);
        bytes32[] memory right = siblingsOf(hashes, last);
        border = new bytes32[](2 * left.length);
        uint256 count = 0;
        for (uint256 level = 0; level < left.length; ++level) {
            if (first & 1 == 1) border[count++] = left[level];
            if (last & 1 == 0) border[count++] = right[level];
            (first, last) = (first >> 1, last >> 1);
        }
        assembly {
            mstore(border, count)
        }
    }

    /// The root to which a record at a position leads.
    function rootFrom(bytes32 structHash, uint256 position, bytes32[] memory siblings)
        internal
        pure
        returns (bytes32 node)
    {
        node = structHash == 0 ? bytes32(0) : keccak256(abi.encodePacked(structHash));
        for (uint256 i = 0; i < siblings.length; ++i) {
            bool right = position >> i & 1 == 1;
            node = keccak256(right ? abi.encodePacked(siblings[i], node) : abi.encodePacked(node, siblings[i]));
        }
    }

    /// The leaves, padded.
    function _leaves(bytes32[] memory hashes) private pure returns (bytes32[] memory nodes) {
        nodes = new bytes32[](1 << depthOf(hashes.length));
        for (uint256 i = 0; i < hashes.length; ++i) {
            if (hashes[i] != 0) nodes[i] = keccak256(abi.encodePacked(hashes[i]));
        }
    }

    /// Replaces so many nodes by half as many.
    function _lift(bytes32[] memory nodes, uint256 width) private pure {
        for (uint256 i = 0; i < width / 2; ++i) {
            nodes[i] = keccak256(abi.encodePacked(nodes[2 * i], nodes[2 * i + 1]));
        }
    }
}
