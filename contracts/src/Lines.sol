// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {hashLine, hashStatement, hashTrade} from "./Hashing.sol";
import {Judge} from "./Judge.sol";
import {Proofs} from "./Proofs.sol";
import {Line, Post, Statement, Trade} from "./Records.sol";

/// @notice A member's statement and its way to the root of the post's statements, where its place is the member's number.
struct Stated {
    uint32 member;
    Statement statement;
    /// From the bottom.
    bytes32[] siblings;
}

/// @notice A line of a statement and its way to the root of the statement's lines.
struct Leaf {
    Line line;
    /// Place among the member's lines, from 0.
    uint256 position;
    /// From the bottom.
    bytes32[] siblings;
}

/// @title What lines of a statement say that stand in a known relation to each other
abstract contract Lines is Judge {
    /// @notice Running sums, or what lines add to them: energy [Wh] and money [lane unit, positive = credited].
    struct Sums {
        int256 bought;
        int256 sold;
        int256 money;
    }

    /// @notice What was shown agrees: it is no fault.
    error NoFault(uint64 slot, uint32 revision, uint32 member);
    /// @notice Places must lie side by side in one tree.
    error NotAdjacent(uint256 first, uint256 second);
    /// @notice So many lines do not show this.
    error WrongLines(uint256 given, uint256 needed);

    /// @dev Deletes the post in which the statement stands, or reverts when `fault` is false.
    function _strikeIf(bool fault, Post calldata p, Stated calldata s) internal {
        _requireStated(p, s);
        _strikeIf(fault, p, s.member);
    }

    function _strikeIf(bool fault, Post calldata p, uint32 member) internal {
        require(fault, NoFault(p.slot, p.revision, member));
        settlement.strike(p, msg.sender);
    }

    function _requireStated(Post calldata p, Stated calldata s) internal pure {
        Proofs.requireAt(hashStatement(s.statement), s.member, s.siblings, p.statements);
    }

    /// @dev A line of the statement.
    function _line(Stated calldata s, Leaf calldata leaf) internal pure returns (Line calldata line) {
        line = leaf.line;
        Proofs.requireAt(hashLine(line), leaf.position, leaf.siblings, s.statement.lines);
    }

    /// @dev A line of the statement and its trade.
    function _tradeLine(Stated calldata s, Leaf calldata leaf, Trade calldata trade)
        internal
        pure
        returns (Line calldata line)
    {
        line = _line(s, leaf);
        _requireSame(line.trade, hashTrade(trade));
    }

    /// @dev Two lines of the statement that stand side by side.
    function _pair(Stated calldata s, Leaf calldata first, Leaf calldata second)
        internal
        pure
        returns (Line calldata, Line calldata)
    {
        bool adjacent = first.position + 1 == second.position && first.siblings.length == second.siblings.length;
        require(adjacent, NotAdjacent(first.position, second.position));
        return (_line(s, first), _line(s, second));
    }

    /// @dev Requires that no line stands behind this one: the place behind it is empty, or the tree ends with it.
    /// @param behind siblings of the place behind it; none where the tree ends
    function _requireLast(Stated calldata s, Leaf calldata leaf, bytes32[] calldata behind) internal pure {
        uint256 next = leaf.position + 1;
        if (next == 1 << leaf.siblings.length && behind.length == 0) return;
        require(behind.length == leaf.siblings.length, NotAdjacent(leaf.position, next));
        Proofs.requireAt(0, next, behind, s.statement.lines);
    }

    /// @dev A line, and what it adds to the sums of the line before.
    /// @param lines [the line before and] the line
    function _step(Stated calldata s, Leaf[] calldata lines) internal pure returns (Line calldata line, Sums memory) {
        return _added(s, lines, 1);
    }

    /// @dev What lines under one order, from a first to a last one, add to the sums before them.
    /// @param lines [the line before the first,] the first and the last
    function _filled(Stated calldata s, Leaf[] calldata lines)
        internal
        pure
        returns (bytes32 consent, Sums memory added)
    {
        Line calldata last;
        (last, added) = _added(s, lines, 2);
        consent = last.order;
        Leaf calldata first = lines[lines.length - 2];
        _requireSame(_line(s, first).order, consent);
        uint256 end = lines[lines.length - 1].position;
        require(first.position <= end, NotAdjacent(first.position, end));
    }

    /// @dev The last of these lines, and what it has more than the line before the first, where sums begin at zero.
    /// @param count how many are given; before them the line before the first, unless that is at position 0
    function _added(Stated calldata s, Leaf[] calldata lines, uint256 count)
        private
        pure
        returns (Line calldata last, Sums memory added)
    {
        require(lines.length == count || lines.length == count + 1, WrongLines(lines.length, count));
        uint256 first = lines.length - count;
        uint256 needed = lines[first].position == 0 ? count : count + 1;
        require(lines.length == needed, WrongLines(lines.length, needed));
        last = _line(s, lines[lines.length - 1]);
        added = Sums(int256(uint256(last.bought)), int256(uint256(last.sold)), last.money);
        if (first == 1) {
            (Line calldata before,) = _pair(s, lines[0], lines[1]);
            added.bought -= int256(uint256(before.bought));
            added.sold -= int256(uint256(before.sold));
            added.money -= before.money;
        }
    }

    /// @dev What the posted deltas move for a member, in lane units; beyond their end nothing.
    function _delta(Post calldata p, uint32 member, bytes calldata deltas) internal pure returns (int256) {
        _requireSame(p.deltas, keccak256(deltas));
        uint256 start = uint256(member) * 4;
        return start < deltas.length ? int256(int32(uint32(bytes4(deltas[start:start + 4])))) : int256(0);
    }
}
