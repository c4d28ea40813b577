// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Packed balances
/// @notice One balance, called a lane, is a uint64 of lane units. Four lanes share a storage word, lane 0 in the most
/// significant bits: member `m` has lane `m % 4` of word `m / 4`. Words and the packed deltas thus read in the same
/// direction, left to right. Words follow each other in storage (no hashing of keys).
///
/// Deltas are packed big-endian int32 lane units, 4 bytes per member, dense from member 0, positive = credited to the
/// member. Members beyond their end have a delta of zero.
library Lanes {
    /// @notice A word for every member index that a uint32 can name.
    struct Book {
        uint256[1 << 30] words;
    }

    /// @notice The member's balance would fall below zero.
    /// @param balance lane units held
    /// @param delta lane units to be taken, negative
    error InsufficientCollateral(uint32 member, uint64 balance, int256 delta);

    /// @notice The member's balance would not fit a lane.
    /// @param balance lane units held
    /// @param delta lane units to be credited
    error LaneOverflow(uint32 member, uint64 balance, int256 delta);

    /// @notice The deltas are not a whole number of 4-byte integers.
    error DeltasMisaligned(uint256 length);

    /// @notice There are more deltas than members.
    error DeltasTooLong(uint256 length, uint256 members);

    /// @notice The deltas would create (positive) or destroy (negative) money, in lane units.
    error DeltasNotZeroSum(int256 sum);

    uint256 private constant LANE = type(uint64).max;

    /// @return lane units held by the member
    function balanceOf(Book storage book, uint32 member) internal view returns (uint64) {
        return uint64(book.words[member / 4] >> _shift(member));
    }

    /// @notice Changes one balance.
    /// @param delta lane units, positive = credited to the member
    function move(Book storage book, uint32 member, int256 delta) internal {
        uint256 word = book.words[member / 4];
        uint256 shift = _shift(member);
        uint64 balance = uint64(word >> shift);
        book.words[member / 4] = (word & ~(LANE << shift)) | (_moved(member, balance, delta) << shift);
    }

    /// @notice Requires that deltas concern members only and neither create nor destroy money.
    /// @param members how many members there are
    function check(bytes calldata deltas, uint256 members) internal pure {
        if (deltas.length % 4 != 0) revert DeltasMisaligned(deltas.length);
        if (deltas.length > members * 4) revert DeltasTooLong(deltas.length, members);
        int256 sum = 0;
        // 2^32 members of 2^31 lane units each are far from the bounds of int256.
        unchecked {
            for (uint256 offset = 0; offset < deltas.length; offset += 32) {
                uint256 eight = uint256(bytes32(deltas[offset:]));
                for (; eight != 0; eight >>= 32) {
                    sum += int32(uint32(eight));
                }
            }
        }
        if (sum != 0) revert DeltasNotZeroSum(sum);
    }

    /// @notice Applies deltas that passed `check`; four members whose deltas are zero cost no storage access.
    function applyAll(Book storage book, bytes calldata deltas) internal {
        // The offsets are bounded by the length of calldata.
        unchecked {
            for (uint256 offset = 0; offset < deltas.length; offset += 16) {
                // Converting a slice pads it with zeros: bytes after the end of the deltas cannot be read as deltas.
                uint256 four = uint128(bytes16(deltas[offset:]));
                if (four != 0) {
                    uint256 word = offset / 16;
                    book.words[word] = _movedWord(uint32(offset / 4), book.words[word], four);
                }
            }
        }
    }

    /// @param first member of the word's lane 0
    /// @param word four balances
    /// @param four four int32 deltas in the low 128 bits
    function _movedWord(uint32 first, uint256 word, uint256 four) private pure returns (uint256 moved) {
        // Shifts and indices are bounded by the four lanes of a word.
        unchecked {
            for (uint32 lane = 0; lane < 4; ++lane) {
                uint64 balance = uint64(word >> _shift(lane));
                int256 delta = int32(uint32(four >> (96 - 32 * lane)));
                moved = (moved << 64) | _moved(first + lane, balance, delta);
            }
        }
    }

    /// @return the balance after the delta, below 2^64
    function _moved(uint32 member, uint64 balance, int256 delta) private pure returns (uint256) {
        int256 moved;
        // A uint64 and a delta of at most 64 bits and a sign cannot leave int256.
        unchecked {
            moved = int256(uint256(balance)) + delta;
        }
        // One test for both faults: a negative number has its high bits set.
        if (uint256(moved) > LANE) {
            if (moved < 0) revert InsufficientCollateral(member, balance, delta);
            revert LaneOverflow(member, balance, delta);
        }
        return uint256(moved);
    }

    function _shift(uint32 member) private pure returns (uint256) {
        unchecked {
            return 192 - 64 * (member % 4);
        }
    }
}
