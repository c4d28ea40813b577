// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";

/// @title Money that a contract takes and gives
/// @notice An ERC-20 token, or ether. It is given to nobody but the caller, who fetches what is its own: an account that
/// refuses money, or calls back, stops nobody else.
abstract contract Cash {
    using SafeERC20 for IERC20;

    /// @notice The money: an ERC-20 token, or the zero address for ether.
    IERC20 public immutable asset;
    /// @notice Base units of the asset in one lane unit.
    uint256 public immutable laneUnit;

    /// @notice What arrived is not what the lane units are worth, in base units.
    error WrongAmount(uint256 received, uint256 expected);

    constructor(IERC20 asset_, uint256 laneUnit_) {
        (asset, laneUnit) = (asset_, laneUnit_);
    }

    /// @dev Takes base units from the caller. What arrives is measured: a token that keeps a fee on the way would leave
    /// what is owed without cover.
    function _receive(uint256 expected) internal {
        uint256 received = msg.value;
        if (address(asset) != address(0)) {
            require(msg.value == 0, WrongAmount(msg.value, 0));
            uint256 before = asset.balanceOf(address(this));
            asset.safeTransferFrom(msg.sender, address(this), expected);
            received = asset.balanceOf(address(this)) - before;
        }
        // What arrived, not a balance that strangers can raise.
        // slither-disable-next-line incorrect-equality
        require(received == expected, WrongAmount(received, expected));
    }

    /// @dev Gives the caller base units, after everything else is done.
    function _payCaller(uint256 amount) internal {
        if (address(asset) == address(0)) Address.sendValue(payable(msg.sender), amount);
        else asset.safeTransfer(msg.sender, amount);
    }
}
