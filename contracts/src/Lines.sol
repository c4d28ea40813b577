// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {hashTrade} from "./Hashing.sol";
import {Judge, Leaf} from "./Judge.sol";
import {Post, Statement, Trade} from "./Records.sol";

/// @title What lines of a post say that stand in a known relation to each other
abstract contract Lines is Judge {
    /// @dev A line of the post and its trade.
    function _tradeLine(Post calldata p, Leaf calldata leaf, Trade calldata trade)
        internal
        pure
        returns (Statement calldata line)
    {
        line = _line(p, leaf);
        _requireSame(line.trade, hashTrade(trade));
    }

    /// @dev A line, and what its sums add to those of the line before.
    function _step(Post calldata p, Leaf[] calldata lines)
        internal
        pure
        returns (Statement calldata line, int256 wh, int256 money)
    {
        require(lines.length == 1 || lines.length == 2, WrongLines(lines.length, 2));
        line = _line(p, lines[lines.length - 1]);
        (wh, money) = (line.wh, line.money);
        Statement calldata before;
        if (_hasBefore(line, lines.length, 1)) {
            (before,) = _pair(p, lines[0], lines[1]);
            require(before.member == line.member, OtherMember(line.member, before.member));
            (wh, money) = (wh - before.wh, money - before.money);
        }
    }

    /// @dev Energy under one order from a first to a last line of it, positive = bought.
    function _filled(Post calldata p, Leaf[] calldata lines)
        internal
        pure
        returns (uint32 member, bytes32 consent, int256 wh)
    {
        require(lines.length == 2 || lines.length == 3, WrongLines(lines.length, 3));
        Statement calldata from = _line(p, lines[lines.length - 2]);
        Statement calldata to = _line(p, lines[lines.length - 1]);
        require(from.member == to.member, OtherMember(from.member, to.member));
        _requireSame(from.order, to.order);
        require(
            lines[lines.length - 2].position <= lines[lines.length - 1].position,
            NotAdjacent(lines[lines.length - 2].position, lines[lines.length - 1].position)
        );
        wh = to.wh;
        if (_hasBefore(from, lines.length, 2)) {
            (Statement calldata before,) = _pair(p, lines[0], lines[1]);
            require(before.member == from.member, OtherMember(from.member, before.member));
            wh -= before.wh;
        }
        return (to.member, to.order, wh);
    }

    /// @dev Whether a line has one of its member before it; then it must be given, else left out.
    function _hasBefore(Statement calldata line, uint256 given, uint256 needed) internal pure returns (bool has) {
        has = line.index != 0;
        if (has) ++needed;
        require(given == needed, WrongLines(given, needed));
    }

    /// @dev What the posted deltas move for a member, in lane units; beyond their end nothing.
    function _delta(Post calldata p, uint32 member, bytes calldata deltas) internal pure returns (int256) {
        _requireSame(p.deltas, keccak256(deltas));
        uint256 start = uint256(member) * 4;
        return start < deltas.length ? int256(int32(uint32(bytes4(deltas[start:start + 4])))) : int256(0);
    }
}
